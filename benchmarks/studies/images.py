"""Which of our detectors is best on one-class images?"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from benchmarks.lab.figures import away, mean, means, methods_of, points, wins
from benchmarks.lab.image_sets import further_sets, load
from benchmarks.lab.markdown import NONE, markdown, missing, origin, seeds_of
from benchmarks.lab.methods import IMAGES, ours
from benchmarks.lab.protocol import judge
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Block, Fits, Job, Study, every
from lampblack import AutoencoderDetector, LAMPDetector

DIGITS = ["elpv", *(f"mnist {digit}" for digit in range(10))]
CIFAR_CLASSES = [f"cifar10 {label}" for label in range(10)]
REFERENCE = "autoencoder (L2)"
FIRST = ("PCA reconstruction", "kNN on pixels (k = 5)", "untrained Toll", "Toll", REFERENCE)
SSIM = {  # six times the time of the others: one seed
    "autoencoder (SSIM)": ours(AutoencoderDetector, reconstruction_error="ssim"),
    "LAMP (SSIM)": ours(LAMPDetector, reconstruction_error="ssim"),
}
METHODS = {**IMAGES, **SSIM}


def jobs() -> list[Job]:
    """Every class, method and seed; what matters most comes first."""
    first = every(DIGITS, FIRST)
    brief = [method for method in IMAGES if method != "AMA"]  # five times the time of the others
    rest = every(DIGITS, IMAGES)
    cifar = every(CIFAR_CLASSES, brief)
    later = every(DIGITS, brief, (1, 2))
    return list(
        dict.fromkeys(
            [*first, *rest, *cifar, *later, *every(DIGITS, SSIM), *every(further_sets(), brief)]
        )
    )


def judge_class(methods: Any, name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit to the training images of a class, and its figures."""
    return judge(methods[method](seed), load(name, seed))


def complete(rows: Rows, kind: str) -> tuple[Rows, list[str]]:
    """Rows of one data set in the order of their methods, and the methods that are measured.

    Without the methods and seeds that lack a class: means over different classes do not compare.
    """
    wanted: dict[tuple[str, int], set[str]] = defaultdict(set)
    for name, method, seed in jobs():
        if name.split()[0] == kind:
            wanted[method, seed].add(name)
    found: dict[tuple[str, int], Rows] = defaultdict(list)
    for row in rows:
        if row["set"] in wanted.get((row["method"], row["seed"]), ()):
            found[row["method"], row["seed"]].append(row)
    whole = {key: own for key, own in found.items() if {r["set"] for r in own} == wanted[key]}
    ordered = sorted(whole, key=lambda key: (list(METHODS).index(key[0]), key[1]))
    listed = [method for method in METHODS if (method, 0) in wanted]
    return [row for key in ordered for row in whole[key]], listed


def table(kind: str) -> Block:
    """Mean over classes of the mean over seeds, with time and memory of one fit."""

    def block(rows: Rows) -> str:
        rows, listed = complete(rows, kind)
        methods = methods_of(rows)
        if REFERENCE not in methods:
            return NONE
        by_class = means_by_class(rows)
        columns = ["method", "AUROC", f"− {REFERENCE}", "wins / losses", "seeds", "fit, CPU s"]
        return markdown(
            [*columns, "peak, MiB"],
            [_line(rows, by_class, method) for method in methods],
            origin(rows) + missing(listed, {row["method"] for row in rows if row["seed"] == 0}),
        )

    return block


def _line(rows: Rows, by_class: dict[str, dict[str, float]], method: str) -> list[object]:
    own = [row for row in rows if row["method"] == method]
    values = [of_class[method] for of_class in by_class.values() if method in of_class]
    gaps = away(by_class, method, REFERENCE)
    against = points(gaps) if len(gaps) > 1 else f"{100 * mean(gaps):+.2f}"
    same = method == REFERENCE
    return [
        method,
        f"{100 * mean(values):.2f}",
        "" if same else against,
        "" if same else wins(gaps, 0),
        seeds_of(own),
        f"{mean([row['fit_cpu_s'] for row in own]):.0f}",
        f"{max(row['peak_mib'] for row in own):,}",
    ]


def means_by_class(rows: Rows) -> dict[str, dict[str, float]]:
    """Means over seeds, class by class."""
    return dict(sorted(means(rows).items()))


def digits(rows: Rows) -> str:
    """AUROC of every digit and method."""
    rows, _ = complete(rows, "mnist")
    methods = methods_of(rows)
    return markdown(
        ["digit", *methods],
        [
            [name.split()[1], *(f"{100 * values[m]:.1f}" if m in values else "" for m in methods)]
            for name, values in means_by_class(rows).items()
        ],
    )


def amplification(rows: Rows) -> str:
    """What amplification alone changes, over error metrics and digits."""
    by_class = means_by_class(complete(rows, "mnist")[0])
    gaps = {
        error: away(by_class, f"LAMP ({error})", f"autoencoder ({error})")
        for error in ("L1", "L2", "SSIM")
    }
    gaps["all"] = [gap for own in gaps.values() for gap in own]
    return markdown(
        ["error", "digits", "amplified − plain, AUROC points"],
        [[error, len(own), points(own)] for error, own in gaps.items() if own],
    )


STUDY = Study(
    "images",
    Fits(jobs, partial(judge_class, METHODS), fresh=True),
    blocks={
        "mnist": table("mnist"),
        "cifar10": table("cifar10"),
        "elpv": table("elpv"),
        "digits": digits,
        "amplification": amplification,
    },
)
