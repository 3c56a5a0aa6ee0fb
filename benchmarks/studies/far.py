"""Which score tells images of another kind, that are easy to reconstruct?

Train on training images of all classes, without their labels; compare test images with images of
another kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.lab import unlike
from benchmarks.lab.ama import AUTHORS, NAMES, NO_CRITIC, SCORES, ama, note, scores_of
from benchmarks.lab.figures import percent
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.methods import UNTRAINED, ours
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Block, Fits, Study, every
from lampblack import AutoencoderDetector, LAMPDetector, TollDetector

METHODS: dict[str, Callable[[int], Any]] = {
    "AMA": ama(),
    "autoencoder": ours(AutoencoderDetector),
    "no critic (autoencoder)": ama(**NO_CRITIC),
    "untrained": ama(**UNTRAINED),
    "Toll": ours(TollDetector),
    "LAMP": ours(LAMPDetector),
    "the authors' parts": ama(**AUTHORS),
}
SETS = {"far": unlike.normal_and_others, "far from digits": unlike.digits_and_others}


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, and the AUROC of every score against every other kind of image."""
    train, normal, others = SETS[name](seed)
    started = time.process_time()
    detector = METHODS[method](seed)(train)
    seconds = round(time.process_time() - started, 1)
    figures = unlike.told_apart(lambda images: scores_of(detector, images), normal, others)
    return {"fit_cpu_s": seconds, "auroc": figures}


def table(name: str, others: tuple[str, ...], scores: tuple[str, ...] = ("", *SCORES)) -> Block:
    """AUROC of these scores against images of another kind."""

    def block(rows: Rows) -> str:
        own = {row["method"]: row for row in rows if row["set"] == name}
        if "AMA" not in own:
            return NONE
        lines = [
            [
                f"{method}: {NAMES[score]}",
                *(f"{100 * values[other]:.1f}" for other in others),
                percent(list(values.values())),
                f"{own[method]['fit_cpu_s']:.0f}",
            ]
            for method in METHODS
            if method in own
            for score, values in own[method]["auroc"].items()
            if score in scores
        ]
        columns = ["training: score", *others, "mean", "CPU s"]
        return markdown(columns, lines, note(rows, "far", [*METHODS], own))

    return block


STUDY = Study(
    "adversarial",
    Fits(lambda: every(SETS, METHODS), run),
    blocks={
        "far": table("far", unlike.OTHERS),
        "far-in-short": table("far", unlike.OTHERS, ("", "joint")),
        "far-from-digits": table("far from digits", unlike.OTHERS_THAN_DIGITS),
    },
)
