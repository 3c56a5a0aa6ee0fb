"""What is each part of AMA worth, switched alone, on eight tables and three digits?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.lab.ama import AUTHORS, NO_CRITIC, SCORES, ama, judge, note
from benchmarks.lab.chosen import DIGITS, TABLES, split_of
from benchmarks.lab.figures import held_out, mean, percent
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.methods import UNTRAINED
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Block, Fits, Job, Study, every

DEFAULT = {"tables": "reconstruction", "images": "joint"}
PARTS: dict[str, Callable[[int], Any]] = {
    "AMA": ama(),
    "the authors' parts": ama(**AUTHORS),
    "without reconstruction term": ama(reconstruction_weight=0.0),
    "with spectral norm": ama(spectral_norm=True),
    "without gradient penalty": ama(gradient_penalty=0.0),
    "without mirror": ama(mirror=False),
    "without simplex": ama(simplex_weight=0.0),
    "without atypical selection": ama(atypical=None),
    "outward selection": ama(atypical="outward"),
    "hinge": ama(critic_loss="hinge"),
    "five critic steps": ama(critic_steps=5),
    "with latent term (Toll × AMA)": ama(latent_weight=0.1),
    "amplified (LAMP × AMA)": ama(amplification="quantile"),
    "amplified, latent term (all three)": ama(amplification="quantile", latent_weight=0.1),
    "no critic (autoencoder)": ama(**NO_CRITIC),
    "no critic, amplified (LAMP)": ama(**NO_CRITIC, amplification="quantile"),
    "no critic, latent term (Toll)": ama(**NO_CRITIC, latent_weight=0.1),
    "no critic, both (LAMP × Toll)": ama(**NO_CRITIC, amplification="quantile", latent_weight=0.1),
    "untrained": ama(**UNTRAINED),
}


def jobs() -> list[Job]:
    """Every set and part; what matters most comes first."""
    first, second = every(TABLES, PARTS), every(TABLES, PARTS, (1,))
    return list(dict.fromkeys([*every(DIGITS, ["AMA"]), *first, *second, *every(DIGITS, PARTS)]))


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, and the AUROC of every score."""
    return judge(PARTS[method](seed), split_of(name, seed))


def by_part(sets: tuple[str, ...]) -> Block:
    """Mean AUROC over sets of every part switched, by score; and CPU seconds a fit."""

    def block(rows: Rows) -> str:
        found = complete(rows, sets)
        if "AMA" not in found:
            return NONE
        return markdown(
            ["training", *SCORES, "seeds", f"spread of {SCORES[-1]}", "CPU s"],
            [_line(method, own) for method, own in found.items()],
            note(rows, "parts", [*PARTS], found),
        )

    return block


def _line(method: str, rows: Rows) -> list[object]:
    seeds = sorted({row["seed"] for row in rows})
    by_seed = [
        mean([row["auroc"][SCORES[-1]] for row in rows if row["seed"] == seed]) for seed in seeds
    ]
    return [
        method,
        *(percent([row["auroc"][score] for row in rows]) for score in SCORES),
        len(seeds),
        f"{100 * (max(by_seed) - min(by_seed)):.1f}" if len(seeds) > 1 else "",
        f"{mean([row['fit_cpu_s'] for row in rows]):.0f}",
    ]


def complete(rows: Rows, sets: tuple[str, ...]) -> dict[str, Rows]:
    """Rows of methods that are measured on all sets, of the seeds for which they are."""
    found = {}
    for method in PARTS:
        own = [row for row in rows if row["method"] == method and row["set"] in sets]
        seeds = [
            seed
            for seed in sorted({row["seed"] for row in own})
            if {row["set"] for row in own if row["seed"] == seed} == {*sets}
        ]
        if seeds:
            found[method] = [row for row in own if row["seed"] in seeds]
    return found


def score_choice(rows: Rows) -> str:
    """AMA's default scores, and what would be chosen leaving one set out."""
    rows = [row for row in rows if row["method"] == "AMA"]
    lines = []
    for kind, by_set in {"tables": of_tables(rows), "images": of_images(rows)}.items():
        if len(by_set) < 2:
            continue
        default = DEFAULT[kind]
        chosen, reached = held_out(by_set, SCORES)
        otherwise = [f"{name} ({score})" for name, score in chosen.items() if score != default]
        lines.append(
            [
                f"{len(by_set)} sets of {kind}",
                default,
                percent([values[default] for values in by_set.values()]),
                f"{100 * reached:.1f}",
                ", ".join(otherwise) or "no set",
            ]
        )
    return markdown(
        [
            *("data", "score by default", "AUROC of it"),
            *("held out: AUROC of what the other sets choose", "chosen otherwise for"),
        ],
        lines,
    )


def of_tables(rows: Rows) -> dict[str, dict[str, float]]:
    """AUROC of every score, by table."""
    own = [row for row in rows if row["set"] in TABLES]
    return {
        name: {s: mean([r["auroc"][s] for r in own if r["set"] == name]) for s in SCORES}
        for name in dict.fromkeys(row["set"] for row in own)
    }


def of_images(rows: Rows) -> dict[str, dict[str, float]]:
    """The same by digit, and as the mean over kinds of images far from CIFAR-10."""
    by_set = {}
    for row in rows:
        if row["set"] in DIGITS:
            by_set[row["set"]] = row["auroc"]
        if row["set"] == "far":
            by_set["far from CIFAR-10"] = {
                score: mean(list(row["auroc"][score].values())) for score in SCORES
            }
    return by_set


STUDY = Study(
    "adversarial",
    Fits(jobs, run),
    blocks={
        "parts-tables": by_part(TABLES),
        "parts-digits": by_part(DIGITS),
        "score-choice": score_choice,
    },
)
