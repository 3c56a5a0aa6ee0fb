"""The benchmark's figures: tables, significance, and pictures; as Markdown and as one HTML page.

Means are over sets of means over seeds; a copy of another set is not counted
(benchmarks/copies.py). A method that failed on a set has no mean and no rank, and its failures are
listed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom, rankdata, studentized_range, wilcoxon

from benchmarks import protocol
from benchmarks.copies import COPIES
from benchmarks.render import RESULTS, WITHOUT, Rows, read

OURS = "recommended"
FIGURES = ("auroc", "ap", "f1", "fit_cpu_s", "score_cpu_s")
LEFT_OUT = (*WITHOUT[1:], "isolation forest")  # ablations; it is scikit-learn's
SIGNIFICANT = 0.05

Values = npt.NDArray[np.float64]


class Comparison:
    """Methods beside each other on the same sets.

    figures: by name, (sets, methods), means over seeds. failures: rows that have no figures.
    """

    def __init__(self, rows: Rows) -> None:
        rows = [row for row in rows if row["set"] not in COPIES]
        self.failures = [row for row in rows if "error" in row]
        failed = {row["method"] for row in self.failures}
        values: dict[tuple[str, str], Rows] = defaultdict(list)
        for row in rows:
            values[row["set"], row["method"]].append(row)
        self.sets = sorted({row["set"] for row in rows}, key=lambda name: int(name.split("_")[0]))
        listed = list(dict.fromkeys(row["method"] for row in rows))
        complete = [
            m for m in listed if m not in failed and all((s, m) in values for s in self.sets)
        ]
        self.incomplete = [method for method in listed if method not in complete]
        figures = {
            name: np.array(
                [[np.mean([r[name] for r in values[s, m]]) for m in complete] for s in self.sets]
            ).reshape(len(self.sets), len(complete))
            for name in FIGURES
        }
        order = np.argsort(-figures["auroc"].mean(axis=0)) if complete else []
        self.methods = [complete[i] for i in order]
        self.figures: dict[str, Values] = {name: f[:, order] for name, f in figures.items()}
        self.seeds = {m: len({r["seed"] for r in rows if r["method"] == m}) for m in complete}

    @property
    def ranks(self) -> Values:
        """Average rank (methods,); 1 is the best."""
        return np.asarray(rankdata(-self.figures["auroc"], axis=1).mean(axis=0))

    def against(self, method: str) -> list[dict[str, Any]]:
        """What `method` is ahead of every other by: mean, standard error, wins, p after Holm."""
        scores = self.figures["auroc"]
        own = scores[:, self.methods.index(method)]
        found = []
        for i, other in enumerate(self.methods):
            away = own - scores[:, i]
            p = 1.0 if not away.any() else float(wilcoxon(away).pvalue)
            found.append(
                {
                    "method": other,
                    "mean": float(away.mean()),
                    "error": float(away.std(ddof=1) / math.sqrt(len(away))),
                    "wins": int((away > 0.001).sum()),
                    "losses": int((away < -0.001).sum()),
                    "p": p,
                }
            )
        others = sorted((row for row in found if row["method"] != method), key=lambda row: row["p"])
        largest = 0.0
        for i, row in enumerate(others):
            largest = max(largest, min(1.0, (len(others) - i) * row["p"]))
            row["holm"] = largest
        return found

    @property
    def critical_difference(self) -> float:
        """Ranks closer than this do not differ at 5 % (Nemenyi; Demšar 2006)."""
        k, n = len(self.methods), len(self.sets)
        quantile = studentized_range.ppf(1 - SIGNIFICANT, k, math.inf)
        return float(quantile / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n)))


def compared(folder: Path = RESULTS) -> Comparison:
    """Ours and the peers, on tables; without ablations, and without a peer's double."""
    rows = read("tables", folder) + read("peers", folder)
    return Comparison([row for row in rows if row["method"] not in LEFT_OUT])


def benchmark_table(folder: Path = RESULTS) -> str:
    """Markdown: every method that ran on every set, the best mean first."""
    found = compared(folder)
    if OURS not in found.methods:
        return "No results yet.\n"
    against = {row["method"]: row for row in found.against(OURS)}
    lines = [
        f"| method | AUROC | AP | F1 | rank | “{OURS}” − it | wins / losses | p (Holm) | "
        "fit, CPU s | score, CPU s | seeds |",
        "|---" * 11 + "|",
    ]
    for i, method in enumerate(found.methods):
        row = against[method]
        means = {name: values[:, i].mean() for name, values in found.figures.items()}
        own = method == OURS
        away = "" if own else f"{100 * row['mean']:+.2f} ± {100 * row['error']:.2f}"
        lines.append(
            f"| {method} | {100 * means['auroc']:.2f} | {100 * means['ap']:.2f} | "
            f"{100 * means['f1']:.2f} | {found.ranks[i]:.2f} | {away} | "
            f"{'' if own else str(row['wins']) + ' / ' + str(row['losses'])} | "
            f"{'' if own else format(row['holm'], '.3f')} | {means['fit_cpu_s']:.2f} | "
            f"{means['score_cpu_s']:.2f} | {found.seeds[method]} |"
        )
    notes = [
        f"{len(found.sets)} sets ({', '.join(f'{a} is part of {b}' for a, b in COPIES.items())}, "
        f"and not counted), label-free, at most {protocol.MOST_ROWS:,} rows each; ranks differ at "
        f"5 % from {found.critical_difference:.1f} on (Nemenyi); `make bench`."
    ]
    if found.incomplete:
        notes.append(f"Not on every set: {', '.join(found.incomplete)}.")
    failures: dict[str, list[int]] = defaultdict(list)
    for row in found.failures:
        reason = row["error"].rstrip(".").split(" after ")[0]
        failures[f"{row['method']} on {row['set']}, {reason}"].append(row["seed"])
    notes += [f"Failed: {what} ({len(seeds)} of the seeds)." for what, seeds in failures.items()]
    return "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n"


def sets_table(folder: Path = RESULTS) -> str:
    """Markdown: AUROC of ours, and of the best peer, by set."""
    found = compared(folder)
    if OURS not in found.methods:
        return "No results yet.\n"
    scores = found.figures["auroc"]
    peers = [i for i, m in enumerate(found.methods) if m.startswith(("PyOD", "scikit", "DTE"))]
    lines = [f"| set | {OURS} | best peer | it |", "|---|---|---|---|"]
    for row, name in enumerate(found.sets):
        best = max(peers, key=lambda i, row=row: scores[row, i])  # type: ignore[misc]
        own = scores[row, found.methods.index(OURS)]
        lines.append(
            f"| {name} | {100 * own:.1f} | {100 * scores[row, best]:.1f} | {found.methods[best]} |"
        )
    return "\n".join(lines) + "\n"


def false_alarm_table(folder: Path = RESULTS) -> str:
    """Markdown: promised and realised rates over all sets and seeds, and how many runs exceed."""
    lines = [
        "| method | promised | realised | runs above | expected above | runs |",
        "|---|---|---|---|---|---|",
    ]
    for method, alpha, rates, expected in false_alarms(folder):
        lines.append(
            f"| {method} | {100 * alpha:.0f} % | {100 * rates.mean():.2f} % | "
            f"{int((rates > alpha).sum())} | {expected:.1f} | {len(rates)} |"
        )
    return "\n".join(lines) + "\n"


def false_alarms(folder: Path) -> list[tuple[str, float, Values, float]]:
    """Method, promised rate α, realised rates by run, and how many of them are expected above α.

    With exchangeable rows the number of alarms among m test rows is beta-binomial, for n
    calibration rows and ⌊α (n + 1)⌋ of them allowed: a run exceeds α now and then.
    """
    rows = [
        row
        for row in read("tables", folder)
        if "false_alarms" in row and row["method"] not in LEFT_OUT
    ]
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        for alpha in protocol.RATES:
            able = [
                row
                for row in rows
                if row["method"] == method and row["calibration_rows"] >= round(1 / alpha) - 1
            ]
            above = 0.0
            for row in able:
                n, m = row["calibration_rows"], row["normal_test_rows"]
                allowed = math.floor(alpha * (n + 1) + 1e-9)
                law = betabinom(m, allowed, n + 1 - allowed)
                above += float(law.sf(math.floor(alpha * m + 1e-9)))
            rates = np.array([row["false_alarms"][str(alpha)] for row in able])
            found.append((method, alpha, rates, above))
    return found


def summary(folder: Path = RESULTS) -> str:
    """One line: how far the recommended detector is ahead of the best peer."""
    found = compared(folder)
    means = dict(zip(found.methods, found.figures["auroc"].mean(axis=0), strict=True))
    peers = {m: v for m, v in means.items() if m.startswith(("PyOD", "scikit", "DTE"))}
    if OURS not in means or not peers:
        return "not every method has run yet"
    best = max(peers, key=lambda m: peers[m])
    own, peer = 100 * means[OURS], 100 * peers[best]
    return f"mean AUROC {own:.2f}, best peer {best} {peer:.2f}: {own - peer:+.2f}"


def write(folder: Path = RESULTS) -> Path:
    """The HTML page of a folder of results, with its pictures inside."""
    from jinja2 import Template

    from benchmarks import pictures

    page = folder / "report" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    tables = {
        "Tables": benchmark_table(folder),
        "By set": sets_table(folder),
        "The false-alarm promise": false_alarm_table(folder),
    }
    page.write_text(
        Template(PAGE, autoescape=True).render(
            summary=summary(folder),
            tables={name: _cells(text) for name, text in tables.items()},
            pictures=pictures.all_of(folder),
        )
    )
    return page


def _cells(markdown: str) -> tuple[list[list[str]], list[str]]:
    """The rows of a Markdown table, and the lines behind it."""
    lines = [line for line in markdown.splitlines() if line]
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not row[0].startswith("---")], [
        line for line in lines if not line.startswith("|")
    ]


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>lampblack: the benchmark</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; background: #fff; color: #111; padding: .5rem; overflow-x: auto; }
</style>
<h1>The benchmark</h1><p>{{ summary }}</p>
{% for name, (rows, notes) in tables.items() %}<h2>{{ name }}</h2>
<table><thead><tr>{% for cell in rows[0] %}<th>{{ cell }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% for note in notes %}<p>{{ note }}</p>{% endfor %}{% endfor %}
<h2>Pictures</h2>
{% for caption, svg in pictures.items() %}<figure>{{ svg | safe }}
<figcaption>{{ caption }}</figcaption></figure>{% endfor %}
</html>
"""
