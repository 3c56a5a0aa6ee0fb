"""Results to Markdown, and into the README between its markers."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.methods import ABLATION_SEEDS, ABLATIONS

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "evidence.md",
    ROOT / "docs" / "performance.md",
    ROOT / "docs" / "methods" / "ama.md",
    ROOT / "docs" / "methods" / "lampblack.md",
    ROOT / "docs" / "why.md",
    ROOT / "docs" / "scale.md",
    ROOT / "docs" / "portable.md",
    ROOT / "docs" / "service.md",
)

Rows = list[dict[str, Any]]


def render() -> None:
    """Put every block in its place in the pages, and draw what they show."""
    from benchmarks import pictures, render_why

    for page in PAGES:
        page.write_text(rendered(page.read_text()))
    render_why.draw(read("why"))
    pictures.document(RESULTS)


def rendered(text: str) -> str:
    """A page with every block between <!-- NAME --> and <!-- /NAME --> made anew."""
    for name, make in BLOCKS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, make=make: f"{match[1]}{make()}{match[2]}", text)
    return text


def read(name: str, folder: Path = RESULTS) -> Rows:
    """The rows of one result file."""
    file = folder / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def tables() -> str:
    """Means over sets and seeds, average rank, wins against the plain autoencoder."""
    rows = _ordered(read("tables"))
    by_set = _means(rows, "auroc")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    ranks = {name: _ranks(by_set[name]) for name in by_set}
    lines = [
        "| method | AUROC | AP | F1 | rank | − autoencoder | wins / losses | fit, CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        differences = [by_set[n][method] - by_set[n]["autoencoder"] for n in by_set]
        wins = sum(d > 0.001 for d in differences)
        losses = sum(d < -0.001 for d in differences)
        mean, error = _mean_and_error(differences)
        figures = [_mean([r[k] for r in rows if r["method"] == method]) for k in ("ap", "f1")]
        auroc = _mean([by_set[n][method] for n in by_set])
        rank = _mean([ranks[n][method] for n in by_set])
        seconds = _mean([r["fit_cpu_s"] for r in rows if r["method"] == method])
        against = "" if method == "autoencoder" else f"{100 * mean:+.2f} ± {100 * error:.2f}"
        score = "" if method == "autoencoder" else f"{wins} / {losses}"
        lines.append(
            f"| {method} | {100 * auroc:.2f} | {100 * figures[0]:.2f} | {100 * figures[1]:.2f} | "
            f"{rank:.2f} | {against} | {score} | {seconds:.2f} |"
        )
    return "\n".join(lines) + f"\n\n{_provenance(rows)}\n"


def sets() -> str:
    """Mean AUROC of every set and method."""
    rows = _ordered(read("tables"))
    by_set = _means(rows, "auroc")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [f"| set | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    for name, values in by_set.items():
        cells = " | ".join(f"{100 * values[method]:.1f}" for method in methods)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def choice() -> str:
    """Choices made on these sets, and the same choices leaving one set out."""
    by_set = _means(_ordered(read("tables")), "auroc")
    lines = [
        "| choice among | chosen on all sets | AUROC of it | held out: AUROC of what the other "
        "sets choose | chosen otherwise for |",
        "|---|---|---|---|---|",
    ]
    for name, candidates in CHOICES.items():
        best = _best(by_set, candidates, leaving_out=None)
        chosen = {left: _best(by_set, candidates, leaving_out=left) for left in by_set}
        held_out = _mean([by_set[left][method] for left, method in chosen.items()])
        whole = _mean([by_set[n][best] for n in by_set])
        otherwise = ", ".join(s for s, method in chosen.items() if method != best) or "no set"
        lines.append(
            f"| {name} | {best} | {100 * whole:.2f} | {100 * held_out:.2f} | {otherwise} |"
        )
    return "\n".join(lines) + "\n"


def sensitivity() -> str:
    """Mean AUROC of Toll's settings, and what is chosen among them leaving one set out."""
    rows = _ordered(read("sensitivity"))
    by_set = _means(rows, "auroc")
    settings = list(dict.fromkeys(row["method"] for row in rows))
    lines = ["| setting | AUROC | − default |", "|---|---|---|"]
    for setting in settings:
        differences = [by_set[n][setting] - by_set[n]["Toll"] for n in by_set]
        mean, error = _mean_and_error(differences)
        auroc = 100 * _mean([by_set[n][setting] for n in by_set])
        against = "" if setting == "Toll" else f"{100 * mean:+.2f} ± {100 * error:.2f}"
        lines.append(f"| {setting} | {auroc:.2f} | {against} |")
    chosen = {left: _best(by_set, tuple(settings), leaving_out=left) for left in by_set}
    held_out = 100 * _mean([by_set[left][setting] for left, setting in chosen.items()])
    counts = Counter(chosen.values()).most_common()
    names = ", ".join(f"{name} ({count} sets)" for name, count in counts)
    text = f"Leaving one set out, the other sets choose {names}"
    lines += ["", f"{text}; on the set left out that gives {held_out:.2f}.", "", _provenance(rows)]
    return "\n".join(lines) + "\n"


def arrhythmia() -> str:
    """AUROC and F1 over ten seeds, with the paired difference to the plain autoencoder."""
    rows = read("arrhythmia")
    by_method: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in _ordered(rows):
        by_method[row["method"]][row["seed"]] = row
    lines = [
        "| settings: method | AUROC | − autoencoder | F1 | − autoencoder | AUROC of the error "
        "| AUROC of the code's norm | norm's share of the score |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, runs in by_method.items():
        settings = method.split(":")[0] if ":" in method else "defaults"
        reference = by_method[f"{settings}: autoencoder"]
        cells = []
        for figure in ("auroc", "f1"):
            mean, error = _mean_and_error([run[figure] for run in runs.values()])
            cells.append(f"{100 * mean:.2f} ± {100 * error:.2f}")
            paired = [runs[seed][figure] - reference[seed][figure] for seed in runs]
            mean, error = _mean_and_error(paired)
            same = runs is reference
            cells.append("" if same else f"{100 * mean:+.2f} ± {100 * error:.2f}")
        for figure in ("auroc_error", "auroc_norm", "norm_share"):
            known = [run[figure] for run in runs.values() if run.get(figure) is not None]
            cells.append(f"{100 * _mean(known):.1f}" if known else "")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\n{_provenance(rows)}\n"


def _image_rows(kind: str) -> tuple[Rows, list[str]]:
    """Results of one data set, and the methods that are not yet measured on all its classes.

    By method in their order, without those that lack a class: means over different classes do not
    compare. Only seeds that are complete count.
    """
    from benchmarks import images

    wanted: dict[tuple[str, int], set[str]] = defaultdict(set)
    for name, method, seed in images.jobs():
        if name.split()[0] == kind and method in {**images.IMAGES, **images.SSIM}:
            wanted[method, seed].add(name)
    found: dict[tuple[str, int], Rows] = defaultdict(list)
    for row in read("images"):
        if row["set"] in wanted.get((row["method"], row["seed"]), ()):
            found[row["method"], row["seed"]].append(row)
    complete = {k: rows for k, rows in found.items() if {r["set"] for r in rows} == wanted[k]}
    listed = [*images.IMAGES, *images.SSIM]
    ordered = sorted(complete, key=lambda key: (listed.index(key[0]), key[1]))
    missing = [m for m in listed if (m, 0) in wanted and (m, 0) not in complete]
    return [row for key in ordered for row in complete[key]], missing


def _image_table(kind: str) -> str:
    """Mean over classes of the mean over seeds, with time and memory of one fit."""
    rows, missing = _image_rows(kind)
    if "autoencoder (L2)" not in {row["method"] for row in rows}:
        return "Not measured yet.\n"
    by_class = _mean_by_class(rows)
    lines = [
        "| method | AUROC | − autoencoder (L2) | wins / losses | seeds | fit, CPU s | peak, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        names = [name for name in by_class if method in by_class[name]]
        auroc = 100 * _mean([by_class[name][method] for name in names])
        gaps = [by_class[n][method] - by_class[n]["autoencoder (L2)"] for n in names]
        mean, error = _mean_and_error(gaps)
        same = method == "autoencoder (L2)"
        against = (
            ""
            if same
            else f"{100 * mean:+.2f}" + (f" ± {100 * error:.2f}" if len(gaps) > 1 else "")
        )
        wins = "" if same else f"{sum(g > 0 for g in gaps)} / {sum(g < 0 for g in gaps)}"
        seeds = _seeds(sorted({row["seed"] for row in own}))
        seconds, peak = _mean([r["fit_cpu_s"] for r in own]), max(r["peak_mib"] for r in own)
        lines.append(
            f"| {method} | {auroc:.2f} | {against} | {wins} | {seeds} | {seconds:.0f} | {peak:,} |"
        )
    later = f" Not measured yet: {', '.join(missing)}." if missing else ""
    return "\n".join(lines) + f"\n\n{_provenance(rows)}{later}\n"


def _mean_by_class(rows: Rows) -> dict[str, dict[str, float]]:
    return dict(sorted(_means(rows, "auroc").items()))


def mnist() -> str:
    """One-class MNIST over ten digits."""
    return _image_table("mnist")


def cifar10() -> str:
    """One-class CIFAR-10 over ten classes."""
    return _image_table("cifar10")


def elpv() -> str:
    """Solar cells."""
    return _image_table("elpv")


def digits() -> str:
    """AUROC of every digit and method."""
    rows, _ = _image_rows("mnist")
    by_class = _mean_by_class(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [f"| digit | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    for name, values in by_class.items():
        cells = (f"{100 * values[m]:.1f}" if m in values else "" for m in methods)
        lines.append(f"| {name.split()[1]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def amplification() -> str:
    """What amplification alone changes, over error metrics and digits."""
    by_class = _mean_by_class(_image_rows("mnist")[0])
    lines = ["| error | digits | amplified − plain, AUROC points |", "|---|---|---|"]
    every = []
    for error in ("L1", "L2", "SSIM"):
        pair = (f"autoencoder ({error})", f"LAMP ({error})")
        gaps = [v[pair[1]] - v[pair[0]] for v in by_class.values() if {*pair} <= v.keys()]
        every += gaps
        if gaps:
            mean, standard_error = _mean_and_error(gaps)
            lines.append(
                f"| {error} | {len(gaps)} | {100 * mean:+.2f} ± {100 * standard_error:.2f} |"
            )
    if every:
        mean, standard_error = _mean_and_error(every)
        lines.append(f"| all | {len(every)} | {100 * mean:+.2f} ± {100 * standard_error:.2f} |")
    return "\n".join(lines) + "\n"


def plateau() -> str:
    """AUROC of Toll on two digits as one setting moves, and of error and norm alone."""
    from benchmarks import images

    listed = ["Toll", *images.PLATEAU]
    rows = [r for r in read("images") if r["method"] in listed and r["set"] in images.PLATEAU_SETS]
    methods = [method for method in listed if method in {row["method"] for row in rows}]
    lines = [
        f"| setting | {' | '.join(f'digit {s.split()[1]}' for s in images.PLATEAU_SETS)} "
        "| error alone | norm alone |",
        "|---|---|---|---|---|",
    ]
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        cells = []
        for name in images.PLATEAU_SETS:
            values = [row["auroc"] for row in own if row["set"] == name]
            spread = f" ({100 * min(values):.1f} to {100 * max(values):.1f})" if values[1:] else ""
            cells.append(f"{100 * _mean(values):.1f}{spread}" if values else "")
        for figure in ("auroc_error", "auroc_norm"):
            known = [row[figure] for row in own if row.get(figure) is not None]
            cells.append(f"{100 * _mean(known):.1f}" if known else "")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _recorded(name: str) -> str:
    return f"```\n{(RESULTS / f'{name}.txt').read_text().rstrip()}\n```\n"


def memory() -> str:
    """Peak memory of scoring by file, and what it is above scoring a few rows."""
    rows = read("memory")
    if not rows:
        return "Not measured yet.\n"
    least = rows[0]["peak_mib"]
    lines = [
        "| `lampblack score` of | file, MB | rows | peak memory, MiB | above the first row, MiB "
        "| CPU s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['set']} | {row['file_mb']:,} | {row['rows']:,} | {row['peak_mib']:,} | "
        f"{row['peak_mib'] - least:,} | {row['cpu_s']:,.0f} |"
        for row in rows
    ]
    first = rows[0]
    return "\n".join(lines) + (
        f"\n\nlampblack {first['lampblack']}, pyarrow {first['pyarrow']}, {first['machine']}; "
        "`python benchmarks/evidence.py memory`.\n"
    )


def speed() -> str:
    """Every comparison of benchmarks/speed.py, in one thread and in two."""
    from benchmarks.speed import JOBS

    rows = sorted(read("speed"), key=lambda row: (row["threads"], list(JOBS).index(row["set"])))
    if not rows:
        return "Not measured yet.\n"
    lines = [
        "| figure | threads | ours, CPU s | other, CPU s | ratio, CPU | ratio, wall | AUROC "
        "| other's AUROC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        spread = f"{row['cpu_ratio']:.2f} ({_range(row['cpu_ratios'])})"
        quality = [f"{100 * row[k]:.1f}" if k in row else "" for k in ("auroc", "peer_auroc")]
        lines.append(
            f"| {row['set']} | {row['threads']} | {row['cpu_s']:.3g} | {row['peer_cpu_s']:.3g} | "
            f"{spread} | {row['wall_ratio']:.2f} | {' | '.join(quality)} |"
        )
    return "\n".join(lines) + f"\n\n{_measured(rows, 'pyod')}; `make bench-speed`.\n"


def bounds() -> str:
    """The ratios of benchmarks/speed.py beside those of bare torch."""
    from benchmarks.speed import BOUNDS

    rows = sorted(read("bounds"), key=lambda row: BOUNDS.index(row["set"]))
    if not rows:
        return "Not measured yet.\n"
    lines = ["| figure | ratio, CPU | that of bare torch | ours of it |", "|---|---|---|---|"]
    for row in rows:
        reached = row["cpu_ratio"] / row["limit_ratio"]
        spread = f"{row['cpu_ratio']:.2f} ({_range(row['cpu_ratios'])})"
        lines.append(f"| {row['set']} | {spread} | {row['limit_ratio']:.2f} | {reached:.0%} |")
    measured = f"One thread; {_measured(rows, 'pyod')}; `python benchmarks/speed.py --bounds`."
    return "\n".join(lines) + f"\n\n{measured}\n"


FASTER = {  # the comparisons of benchmarks/speed.py that the README shows, in its words
    "fit, batch 32, 50,000 × 30": "fit, the same modules and steps, batch 32",
    "fit, batch 1024, 50,000 × 30": "the same, batch 1,024",
    "fit, defaults, autoencoder, 50,000 × 30": "fit, each with its defaults: plain autoencoder",
    "fit, defaults, recommended, 50,000 × 30": "the same: recommended detector",
    "score, 500,000 × 30": "score, the same modules",
    "import": "import",
}


def short_speed() -> str:
    """What the README says of speed: one thread, beside the peer."""
    rows = [row for row in read("speed") if row["set"] in FASTER and row["threads"] == 1]
    if not rows:
        return "Not measured yet.\n"
    rows.sort(key=lambda row: list(FASTER).index(row["set"]))
    lines = [
        "| 50,000 × 30, scored 500,000 × 30 | CPU s | PyOD's autoencoder, CPU s | times as fast "
        "| AUROC | PyOD's |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        quality = [f"{100 * row[k]:.1f}" if k in row else "" for k in ("auroc", "peer_auroc")]
        lines.append(
            f"| {FASTER[row['set']]} | {row['cpu_s']:.2g} | {row['peer_cpu_s']:.2g} | "
            f"{row['cpu_ratio']:.3g} | {' | '.join(quality)} |"
        )
    note = "One thread, medians of pairs, AUROC on generated anomalies"
    rates = {
        name: f"{row['rows'] / row['cpu_s']:,.0f}"
        for name in ("autoencoder", "recommended")
        for row in read("speed")
        if row["set"].startswith(f"score and network, {name}, ")
        and row["threads"] == 1
        and row["set"].endswith(" × 30")
    }
    if len(rates) < 2:
        return "\n".join(lines) + f"\n\n{note}; {_measured(rows, 'pyod')}; `make bench-speed`.\n"
    more = (
        "The recommended detector also searches 10,000 remembered rows for neighbours: of 30 "
        f"columns it scores {rates['recommended']} rows a CPU second, the plain autoencoder "
        f"{rates['autoencoder']}.\n"
    )
    measured = f"{note}; {_measured(rows, 'pyod')}; `make bench-speed`."
    return "\n".join(lines) + f"\n\n{measured}\n\n{more}"


def _range(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def growth() -> str:
    """Cost of fit and score at every size, with the exponent of its growth."""
    from benchmarks import growth as part

    by_axis = part.by_axis(read("growth"))
    if not by_axis:
        return "Not measured yet.\n"
    lines = [
        "| grows | size | fit, CPU s | MiB more | peak, MiB | score, CPU s | MiB more "
        "| peak, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for axis, rows in by_axis.items():
        for row in rows:
            cells = [
                f"{row[k]['cpu_s']:.3g} | {row[k]['extra_mib']:,.0f} | {row[k]['peak_mib']:,}"
                for k in ("fit", "score")
            ]
            lines.append(f"| {axis} | {row['size']:,} | {' | '.join(cells)} |")
        if len(rows) > 2:
            slopes = [
                part.shown_slope(part.points(rows, axis, k, figure), figure)
                for k in ("fit", "score")
                for figure in ("cpu_s", "extra_mib")
            ]
            cells = [f"{time} | {memory} | " for time, memory in (slopes[:2], slopes[2:])]
            lines.append(f"| {axis} | slope | {' | '.join(cells)} |")
    every = [row for rows in by_axis.values() for row in rows]
    command = "python benchmarks/evidence.py growth"
    return "\n".join(lines) + f"\n\n{_measured(every, 'pyarrow')}; `{command}`.\n"


def _measured(rows: Rows, *others: str) -> str:
    """Versions and machine of every row, which must be the same."""
    facts = ("lampblack", "torch", *others, "machine")
    first = rows[0]
    if any(row.get(fact) != first.get(fact) for row in rows for fact in (*facts, "cpu")):
        raise ValueError("the results mix versions or machines; delete them and rerun")
    versions = ", ".join(f"{fact} {first[fact]}" for fact in facts[:-1])
    model = [first["cpu"]] if "cpu" in first else []  # results of before do not tell
    return ", ".join([versions, first["machine"], *model])


def kdd() -> str:
    """The commands on KDD Cup 99 and what they printed."""
    return _recorded("kdd")


def tour() -> str:
    """The commands of the tour and what they printed."""
    return _recorded("tour")


def digits_session() -> str:
    """The commands on MNIST and what they printed."""
    return _recorded("digits")


def image_tour() -> str:
    """The commands on images and what they printed."""
    return _recorded("image-tour")


def _of_adversarial(name: str, *arguments: Any) -> Callable[[], str]:
    def block() -> str:
        from benchmarks import render_adversarial

        return str(getattr(render_adversarial, name)(read("adversarial"), *arguments))

    return block


def _of_why(name: str) -> Callable[[], str]:
    def block() -> str:
        from benchmarks import render_why

        return render_why.BLOCKS[name](read("why"))

    return block


def _of_scale(name: str) -> Callable[[], str]:
    def block() -> str:
        from benchmarks import render_scale

        return str(getattr(render_scale, name)(read("scale")))

    return block


def _parts_on(sets: str) -> Callable[[], str]:
    def block() -> str:
        from benchmarks import adversarial, render_adversarial

        return render_adversarial.by_part(read("adversarial"), getattr(adversarial, sets))

    return block


def _of_report(name: str) -> Callable[[], str]:
    def block() -> str:
        from benchmarks import report

        return str(getattr(report, name)())

    return block


def parts_recommended() -> str:
    """The recommended detector with each of its parts taken away."""
    from benchmarks import report

    rows = [
        row
        for row in _ordered(read("tables"))
        if row["set"] not in report.COPIES
        and row["method"] in WITHOUT
        and row["seed"] < ABLATION_SEEDS
    ]
    by_set = _means(rows, "auroc")
    lines = ["| | AUROC | − whole | wins / losses |", "|---|---|---|---|"]
    for method in WITHOUT:
        if any(method not in values for values in by_set.values()):
            return "No results yet.\n"
        away = [values[method] - values[WITHOUT[0]] for values in by_set.values()]
        mean, error = _mean_and_error(away)
        auroc = _mean([values[method] for values in by_set.values()])
        against = "" if method == WITHOUT[0] else f"{100 * mean:+.2f} ± {100 * error:.2f}"
        wins = f"{sum(d > 0.001 for d in away)} / {sum(d < -0.001 for d in away)}"
        lines.append(f"| {method} | {100 * auroc:.2f} | {against} | {wins if against else ''} |")
    return "\n".join(lines) + f"\n\n{_provenance(rows)}\n"


def recommended_settings() -> str:
    """Mean AUROC of the recommended detector as one setting at a time varies."""
    from benchmarks import methods

    rows = read("recommended")
    by_set = _means(rows, "auroc")
    lines = ["| setting | values: mean AUROC | leaving one set out |", "|---|---|---|"]
    for name, settings in methods.RECOMMENDED_GROUPS.items():
        if any(m not in values for values in by_set.values() for m in settings) or not rows:
            return "No results yet.\n"
        means = {
            value: 100 * _mean([values[m] for values in by_set.values()])
            for m, value in settings.items()
        }
        candidates = tuple(settings)
        held_out = _mean(
            [by_set[left][_best(by_set, candidates, leaving_out=left)] for left in by_set]
        )
        cells = ", ".join(f"{value}: {mean:.2f}" for value, mean in means.items())
        lines.append(f"| {name} | {cells} | {100 * held_out:.2f} |")
    return "\n".join(lines) + f"\n\n{_provenance(rows)}\n"


def rays() -> str:
    """The share of far points above normal scores, by distance; and on how many sets it is all."""
    from benchmarks.rays import DISTANCES, METHODS

    rows = read("rays")
    if not rows:
        return "No results yet.\n"
    lines = [
        f"| method | {' | '.join(f'{distance:,.0f}' for distance in DISTANCES)} | all, on sets |",
        "|---" * (len(DISTANCES) + 2) + "|",
    ]
    for method in METHODS:
        own = [row["above"] for row in rows if row["method"] == method]
        shares = [100 * _mean([above[str(distance)] for above in own]) for distance in DISTANCES]
        whole = sum(all(share == 1 for share in above.values()) for above in own)
        cells = " | ".join(f"{share:.1f}" for share in shares)
        lines.append(f"| {method} | {cells} | {whole} of {len(own)} |")
    return "\n".join(lines) + "\n\nPer cent of 100 rays a set, seed 0; `make bench`.\n"


def more_tables() -> str:
    """Mean AUROC on the tables that are not ADBench's, the best mean first."""
    rows = [row for row in read("more") if "error" not in row]
    by_set = _means(rows, "auroc")
    names = list(by_set)
    whole = [
        m for m in dict.fromkeys(r["method"] for r in rows) if all(m in by_set[n] for n in names)
    ]
    if not whole:
        return "No results yet.\n"
    lines = [f"| method | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for method in sorted(whole, key=lambda m: -_mean([by_set[n][m] for n in names])):
        cells = " | ".join(f"{100 * by_set[name][method]:.2f}" for name in names)
        lines.append(f"| {method} | {cells} |")
    seeds = sorted({row["seed"] for row in rows})
    return "\n".join(lines) + f"\n\n{_seeds(seeds).capitalize()}; `make bench`.\n"


def likelihood() -> str:
    """AUROC of generative and neighbour peers against images unlike CIFAR-10."""
    from benchmarks import far

    rows = read("likelihood")
    if not rows:
        return "No results yet.\n"
    lines = [f"| peer: score | {' | '.join(far.OTHERS)} | mean | CPU s |"]
    lines.append("|---" * (len(far.OTHERS) + 3) + "|")
    for row in rows:
        for score, figures in row["auroc"].items():
            values = [100 * figures[other] for other in far.OTHERS]
            cells = " | ".join(f"{value:.1f}" for value in values)
            seconds = f"{row['fit_cpu_s']:.0f}"
            lines.append(
                f"| {row['method']}: {score} | {cells} | {_mean(values):.1f} | {seconds} |"
            )
    return "\n".join(lines) + "\n\nSeed 0; `python benchmarks/bench.py out-of-distribution`.\n"


def labelled_checkpoints() -> str:
    """Both protocols on the same test samples: the last weights, and the best by labels."""
    lines = [
        "| set | method | label-free | the papers' (labelled checkpoint) | gain | seeds |",
        "|---" * 6 + "|",
    ]
    found: dict[tuple[str, str], Rows] = defaultdict(list)
    rows = read("labelled")
    if not rows:
        return "Not measured yet.\n"
    for row in rows:
        found[row["set"], row["method"]].append(row)
    for (name, method), runs in sorted(found.items(), key=lambda item: item[0][0]):
        last = [100 * row["auroc"] for row in runs]
        kept = [100 * row["auroc_labelled_checkpoint"] for row in runs]
        mean, error = _mean_and_error([b - a for a, b in zip(last, kept, strict=True)])
        gain = f"{mean:+.2f} ± {error:.2f}" if len(runs) > 1 else f"{mean:+.2f}"
        lines.append(
            f"| {name} | {method} | {_mean(last):.2f} | {_mean(kept):.2f} | {gain} | {len(runs)} |"
        )
    return "\n".join(lines) + "\n\n`python benchmarks/evidence.py labelled`.\n"


def portable_scores() -> str:
    """Portable models beside the detectors they were exported from."""
    from benchmarks import portable

    rows = read("portable")
    return portable.accuracy_table(rows, _provenance) if rows else "Not measured yet.\n"


def portable_speed() -> str:
    """Their times beside torch's."""
    from benchmarks import portable

    rows = read("portable")
    return portable.speed_table(rows) if rows else "Not measured yet.\n"


def service() -> str:
    """What the service does under load, alone, and after a crash, by engine."""
    rows = read("service")
    if not rows:
        return "Not measured yet.\n"
    figures: dict[str, Callable[[dict[str, Any]], str]] = {
        "requests a second": lambda r: f"{r['requests_a_second']:,.0f}",
        "rows a second": lambda r: f"{r['rows_a_second']:,}",
        "answer under load, p50 / p99, ms": lambda r: f"{r['p50_ms']:,.0f} / {r['p99_ms']:,.0f}",
        "requests sent, answered, lost": lambda r: (
            f"{r['requests']:,}, {sum(r['statuses'].values()):,}, {r['lost']}"
        ),
        "answers by status": lambda r: ", ".join(
            f"{status}: {count:,}" for status, count in r["statuses"].items()
        ),
        "answers unlike those without load": lambda r: str(r["different"]),
        "largest relative difference of a score": lambda r: f"{r['largest_difference']:.1g}",
        "memory before and after, MiB": lambda r: " / ".join(f"{m:,}" for m in r["memory_mib"]),
        "one row alone, p50 / p99, ms": lambda r: (
            f"{r['one_row_p50_ms']:.1f} / {r['one_row_p99_ms']:.1f}"
        ),
        "ready after `kill -9`, s (of three)": lambda r: _span(r["ready_s"]),
        "`import torch` in between, s": lambda r: _span(r["import_torch_s"]),
    }
    lines = [f"| | {' | '.join(row['engine'] for row in rows)} |", "|---" * (len(rows) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(of, rows))} |" for name, of in figures.items()]
    first = rows[0]
    return "\n".join(lines) + (
        f"\n\n{first['clients']} clients on the same machine for {first['seconds']:.0f} s; "
        f"lampblack {first['lampblack']}, torch {first['torch']}, {first['machine']}; "
        "`make bench-service`.\n"
    )


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


WITHOUT = ("recommended", *ABLATIONS)
BLOCKS = {
    "portable": portable_scores,
    "portable-speed": portable_speed,
    **{
        name: _of_why(name)
        for name in (
            "why-sharpness",
            "why-errors",
            "why-correlation",
            "why-linear",
            "why-arc",
            "why-jacobian",
            "why-mirror",
            "why-rays",
        )
    },
    "benchmark": _of_report("benchmark_table"),
    "benchmark-sets": _of_report("sets_table"),
    "false-alarms": _of_report("false_alarm_table"),
    "parts-recommended": parts_recommended,
    "labelled-checkpoints": labelled_checkpoints,
    "recommended-settings": recommended_settings,
    "likelihood": likelihood,
    "rays": rays,
    "speed": speed,
    "short-speed": short_speed,
    "bounds": bounds,
    "growth": growth,
    "more-tables": more_tables,
    "far": _of_adversarial("far"),
    "far-from-digits": _of_adversarial("far_from_digits"),
    "codes": _of_adversarial("codes"),
    "far-in-short": _of_adversarial("far", ("", "joint")),
    "parts-tables": _parts_on("TABLES"),
    "parts-digits": _parts_on("DIGITS"),
    "contaminated": _of_adversarial("contaminated"),
    "labelled": _of_adversarial("labelled"),
    "score-choice": _of_adversarial("score_choice"),
    "tables": tables,
    "sets": sets,
    "choice": choice,
    "sensitivity": sensitivity,
    "arrhythmia": arrhythmia,
    "memory": memory,
    "scale-scoring": _of_scale("scoring"),
    "scale-paper": _of_scale("paper"),
    "scale-paper-training": _of_scale("paper_training"),
    "kdd": kdd,
    "tour": tour,
    "image-tour": image_tour,
    "digits-session": digits_session,
    "mnist": mnist,
    "digits": digits,
    "amplification": amplification,
    "plateau": plateau,
    "cifar10": cifar10,
    "elpv": elpv,
    "service": service,
}
CHOICES = {
    "LAMP's form": ("LAMP (log, min-max)", "LAMP (quantile, ours)"),
    "detector": (
        "recommended",
        "autoencoder",
        "LAMP (quantile, ours)",
        "Toll",
        "LAMP × Toll",
        "AMA",
    ),
}


def _ordered(rows: Rows) -> Rows:
    """Rows by set, and in the order in which their methods are listed."""
    from benchmarks import methods

    found = {row["method"] for row in rows}
    groups = (methods.TABLES, methods.SENSITIVITY, methods.ARRHYTHMIA)
    listed = next(list(group) for group in groups if found <= group.keys())

    def key(row: dict[str, Any]) -> tuple[int, int]:
        number = row["set"].split("_")[0]
        return int(number) if number.isdigit() else 0, listed.index(row["method"])

    return sorted(rows, key=key)


def _means(rows: Rows, figure: str) -> dict[str, dict[str, float]]:
    """Mean over seeds, by set and method."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        values[row["set"]][row["method"]].append(row[figure])
    return {name: {m: _mean(v) for m, v in by.items()} for name, by in values.items()}


def _best(
    by_set: dict[str, dict[str, float]], candidates: tuple[str, ...], leaving_out: str | None
) -> str:
    def mean(method: str) -> float:
        return _mean([values[method] for name, values in by_set.items() if name != leaving_out])

    return max(candidates, key=mean)


def _ranks(values: dict[str, float]) -> dict[str, float]:
    """Rank 1 is the best; ties share the mean rank."""
    return {
        method: 1
        + sum(v > value for v in values.values())
        + (sum(v == value for v in values.values()) - 1) / 2
        for method, value in values.items()
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    mean = _mean(values)
    variance = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def _provenance(rows: Rows) -> str:
    first = rows[0]
    facts = ("lampblack", "torch", "scikit-learn", "machine", "protocol")
    if any(row[fact] != first[fact] for row in rows for fact in facts):
        raise ValueError("the results mix versions, machines or protocols; delete them and rerun")
    seeds = sorted({row["seed"] for row in rows})
    names = len({row["set"] for row in rows})
    return (
        f"{names} {'sets' if names > 1 else 'set'}, {_seeds(seeds)}, "
        f"{first['protocol']}; lampblack {first['lampblack']}, torch {first['torch']}, "
        f"scikit-learn {first['scikit-learn']}, {first['machine']}; `make evidence`."
    )


def _seeds(seeds: list[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
