"""Results of AMA's parts to Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks import adversarial
from benchmarks.far import OTHERS, OTHERS_THAN_DIGITS, SCORES

Rows = list[dict[str, Any]]

NAMES = {"": "its own", **{score: score for score in SCORES}}
DEFAULT = {"tables": "reconstruction", "images": "joint"}


def by_part(rows: Rows, sets: tuple[str, ...]) -> str:
    """Mean AUROC over sets of every part switched, by score; and CPU seconds a fit."""
    complete = _complete(rows, adversarial.ABLATION, sets)
    if "AMA" not in complete:
        return "Not measured yet.\n"
    lines = [
        f"| training | {' | '.join(SCORES)} | seeds | spread of {SCORES[-1]} | CPU s |",
        "|---" * (len(SCORES) + 4) + "|",
    ]
    for method, own in complete.items():
        means = [_percent([row["auroc"][score] for row in own]) for score in SCORES]
        seeds = sorted({row["seed"] for row in own})
        by_seed = [
            _mean([row["auroc"][SCORES[-1]] for row in own if row["seed"] == seed])
            for seed in seeds
        ]
        spread = f"{100 * (max(by_seed) - min(by_seed)):.1f}" if len(seeds) > 1 else ""
        seconds = _mean([row["fit_cpu_s"] for row in own])
        lines.append(
            f"| {method} | {' | '.join(means)} | {len(seeds)} | {spread} | {seconds:.0f} |"
        )
    return _table(lines, rows, [*adversarial.ABLATION], complete)


def far_from_digits(rows: Rows) -> str:
    """AUROC of every score with digits as the normal images."""
    return far(rows, name="far from digits", others=OTHERS_THAN_DIGITS)


def codes(rows: Rows) -> str:
    """What codes know of digits, and how compact they are."""
    own = {row["method"]: row for row in rows if row["set"] == "codes"}
    if not own:
        return "Not measured yet.\n"
    lines = ["| training | linear probe, accuracy | mean norm | axes |", "|---|---|---|---|"]
    for method in (method for method in adversarial.CODES if method in own):
        row = own[method]
        lines.append(
            f"| {method} | {100 * row['probe']:.1f} | {row['norm']:.2f} | {row['axes']:.1f} |"
        )
    return _table(lines, rows, [*adversarial.CODES], own)


def far(
    rows: Rows,
    scores: tuple[str, ...] = ("", *SCORES),
    *,
    name: str = "far",
    others: tuple[str, ...] = OTHERS,
) -> str:
    """AUROC of these scores against images of another kind."""
    own = {row["method"]: row for row in rows if row["set"] == name}
    if "AMA" not in own:
        return "Not measured yet.\n"
    lines = [
        f"| training: score | {' | '.join(others)} | mean | CPU s |",
        "|---" * (len(others) + 3) + "|",
    ]
    for method in (method for method in adversarial.FAR if method in own):
        for score, values in own[method]["auroc"].items():
            if score not in scores:
                continue
            cells = " | ".join(f"{100 * values[other]:.1f}" for other in others)
            lines.append(
                f"| {method}: {NAMES[score]} | {cells} | {_percent(list(values.values()))} | "
                f"{own[method]['fit_cpu_s']:.0f} |"
            )
    return _table(lines, rows, [*adversarial.FAR], own)


def contaminated(rows: Rows) -> str:
    """Mean AUROC over the tables as the share of unnoticed anomalies grows."""
    lines = [
        f"| method: score | {' | '.join(f'{share} %' for share in adversarial.SHARES)} |",
        "|---" * (len(adversarial.SHARES) + 1) + "|",
    ]
    return _by_share(rows, lines, adversarial.CONTAMINATED, adversarial.SHARES, "contaminated")


def labelled(rows: Rows) -> str:
    """Mean AUROC over the tables as the share of labelled anomalies grows."""
    shares = adversarial.SHARES[1:]
    lines = [
        f"| method: score | {' | '.join(f'{share} %' for share in shares)} |",
        "|---" * (len(shares) + 1) + "|",
    ]
    return _by_share(rows, lines, adversarial.SUPERVISED, shares, "labelled")


def score_choice(rows: Rows) -> str:
    """AMA's default scores, and what would be chosen leaving one set out."""
    groups = {"tables": _of_tables(rows), "images": _of_images(rows)}
    lines = [
        "| data | score by default | AUROC of it | held out: AUROC of what the other sets choose "
        "| chosen otherwise for |",
        "|---|---|---|---|---|",
    ]
    for kind, by_set in groups.items():
        if len(by_set) < 2:
            continue
        chosen = {left: _best(by_set, left) for left in by_set}
        held_out = [by_set[left][score] for left, score in chosen.items()]
        otherwise = [f"{s} ({score})" for s, score in chosen.items() if score != DEFAULT[kind]]
        lines.append(
            f"| {len(by_set)} sets of {kind} | {DEFAULT[kind]} | "
            f"{_percent([values[DEFAULT[kind]] for values in by_set.values()])} | "
            f"{_percent(held_out)} | {', '.join(otherwise) or 'no set'} |"
        )
    return "\n".join(lines) + "\n"


def _of_tables(rows: Rows) -> dict[str, dict[str, float]]:
    own = [r for r in rows if r["method"] == "AMA" and r["set"] in adversarial.TABLES]
    return {
        name: {s: _mean([r["auroc"][s] for r in own if r["set"] == name]) for s in SCORES}
        for name in dict.fromkeys(row["set"] for row in own)
    }


def _of_images(rows: Rows) -> dict[str, dict[str, float]]:
    """Digits, and the mean over kinds of images far from CIFAR-10."""
    by_set = {}
    for row in rows:
        if row["method"] == "AMA" and row["set"] in adversarial.DIGITS:
            by_set[row["set"]] = row["auroc"]
        if row["method"] == "AMA" and row["set"] == "far":
            by_set["far from CIFAR-10"] = {
                score: _mean(list(row["auroc"][score].values())) for score in SCORES
            }
    return by_set


def _best(by_set: dict[str, dict[str, float]], left: str) -> str:
    def mean(score: str) -> float:
        return _mean([values[score] for name, values in by_set.items() if name != left])

    return max(SCORES, key=mean)


def curves(
    rows: Rows, group: dict[str, Any], shares: tuple[int, ...], what: str
) -> tuple[dict[str, dict[str, list[float]]], list[float]]:
    """Mean AUROC over the tables at each share, by method and score; and the shares reached."""
    found: dict[str, dict[str, list[float]]] = {}
    reached: list[float] = []
    for method in group:
        own: dict[int, Rows] = {
            share: [r for r in rows if r["method"] == method and f", {share} % {what}" in r["set"]]
            for share in shares
        }
        if any(len(of_share) < len(adversarial.TABLES) for of_share in own.values()):
            continue
        found[method] = {
            NAMES[score]: [_mean([r["auroc"][score] for r in own[share]]) for share in shares]
            for score in own[shares[0]][0]["auroc"]
        }
        reached = [_mean([r["share"] for r in own[share]]) for share in shares]
    return found, reached


def _by_share(
    rows: Rows, lines: list[str], group: dict[str, Any], shares: tuple[int, ...], what: str
) -> str:
    found, reached = curves(rows, group, shares, what)
    if not found:
        return "Not measured yet.\n"
    for method, by_score in found.items():
        for score, values in by_score.items():
            cells = " | ".join(_percent([value]) for value in values)
            lines.append(f"| {method}: {score} | {cells} |")
    cells = " | ".join(_percent([value]) for value in reached)
    lines.append(f"| share reached, mean over tables, % | {cells} |")
    return _table(lines, rows, [*group], [*found])


def _complete(rows: Rows, group: dict[str, Any], sets: tuple[str, ...]) -> dict[str, Rows]:
    """Rows of methods that are measured on all sets, of the seeds for which they are."""
    complete = {}
    for method in group:
        own = [row for row in rows if row["method"] == method and row["set"] in sets]
        seeds = [
            seed
            for seed in sorted({row["seed"] for row in own})
            if {row["set"] for row in own if row["seed"] == seed} == {*sets}
        ]
        if seeds:
            complete[method] = [row for row in own if row["seed"] in seeds]
    return complete


def _table(lines: list[str], rows: Rows, wanted: list[str], found: Any) -> str:
    missing = [method for method in wanted if method not in found]
    later = f" Not measured yet: {', '.join(missing)}." if missing else ""
    first = rows[0]
    facts = f"lampblack {first['lampblack']}, torch {first['torch']}, {first['machine']}"
    return "\n".join(lines) + f"\n\n{facts}; `python benchmarks/evidence.py adversarial`.{later}\n"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _percent(values: list[float]) -> str:
    return f"{100 * _mean(values):.1f}"
