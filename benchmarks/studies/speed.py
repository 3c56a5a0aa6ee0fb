"""How fast are fit and score beside PyOD's autoencoder, and beside torch alone?

Both sides run in one process, one after the other, five times, in CPU and wall seconds; the ratio
is the median of the ratios pair by pair. Each job runs in a process of its own with one thread,
then with two; the small version is of small sizes, two repeats and one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.lab.apart import apart
from benchmarks.lab.markdown import Columns, Show, made_with, markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.sides import (
    against_network,
    default_fit,
    file_scoring,
    products,
    same_fit,
    scoring,
    starting,
)
from benchmarks.lab.study import Key, Measurements, Study
from benchmarks.lab.timing import Stopwatch, ratio

PYOD_IMPORT = ["-c", "import pyod.models.auto_encoder"]
LARGE, WIDE, LONG = (50_000, 30), (5_000, 274), (500_000, 30)
PIXELS = (10_000, 784)  # as rows, since the peer takes no images
OURS, RECOMMENDED = "AutoencoderDetector", "LampblackDetector"

# name: what is compared, on how much, and the same for a small version
JOBS: dict[str, tuple[Callable[..., dict[str, Any]], tuple[Any, ...], tuple[Any, ...]]] = {
    "fit, batch 32, 50,000 × 30": (same_fit, (*LARGE, 32, 2), (5_000, 30, 32, 1)),
    "fit, batch 1024, 50,000 × 30": (same_fit, (*LARGE, 1024, 10), (10_000, 30, 1024, 2)),
    "fit, batch 32, 5,000 × 274": (same_fit, (*WIDE, 32, 10), (2_000, 274, 32, 1)),
    "fit, batch 1024, 5,000 × 274": (same_fit, (*WIDE, 1024, 50), (2_048, 274, 1024, 4)),
    "fit, batch 32, 500,000 × 30": (same_fit, (*LONG, 32, 1), (6_000, 30, 32, 1)),
    "fit, batch 1024, 500,000 × 30": (same_fit, (*LONG, 1024, 2), (12_000, 30, 1024, 1)),
    "fit, batch 32, 10,000 × 28 × 28": (same_fit, (*PIXELS, 32, 1), (1_000, 784, 32, 1)),
    "fit, batch 1024, 10,000 × 28 × 28": (same_fit, (*PIXELS, 1024, 10), (2_048, 784, 1024, 2)),
    "fit, defaults, autoencoder, 50,000 × 30": (default_fit, (*LARGE, OURS), (2_000, 30, OURS)),
    "fit, defaults, recommended, 50,000 × 30": (
        default_fit,
        (*LARGE, RECOMMENDED),
        (2_000, 30, RECOMMENDED),
    ),
    "score, 500,000 × 30": (scoring, LONG, (50_000, 30)),
    "score, 5,000 × 274": (scoring, WIDE, WIDE),
    "score and network, autoencoder, 500,000 × 30": (
        against_network,
        (OURS, (30,), 500_000),
        (OURS, (30,), 50_000),
    ),
    "score and network, recommended, 50,000 × 30": (
        against_network,
        (RECOMMENDED, (30,), 50_000),
        (RECOMMENDED, (30,), 5_000),
    ),
    "score and network, autoencoder, 28 × 28": (
        against_network,
        (OURS, (1, 28, 28), 5_000),
        (OURS, (1, 28, 28), 500),
    ),
    "train and torch.mm, 274 → 256 → 128 → 32, batch 1024": (products, (1024,), (256,)),
    "import": (starting, (["-c", "import lampblack"], PYOD_IMPORT), ()),
    "--help": (starting, (["-m", "lampblack", "--help"], PYOD_IMPORT), ()),
    "score a CSV file, autoencoder": (file_scoring, ("autoencoder", 1000), ("autoencoder", 20)),
    "score a CSV file, recommended": (file_scoring, ("lampblack", 100), ("lampblack", 5)),
}


def run(name: str, threads: int, quick: bool, bounded: bool = False) -> dict[str, Any]:
    """Measure one figure in this process."""
    import torch

    torch.set_num_threads(threads)
    compare, whole, short = JOBS[name]
    watch = Stopwatch(repeats=2 if quick else 5, bounded=bounded)
    return compare(watch, *(short or whole if quick else whole))


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """Every job that is not done, in one thread and in two, in a process of its own."""
    for threads in (1,) if quick else (1, 2):
        for name in JOBS:
            if (name, threads) not in done:
                found = apart(run, name, threads, quick, threads=threads)
                yield {"set": name, "threads": threads, **found}


QUALITY: dict[str, Show] = {
    "AUROC": lambda row: f"{100 * row['auroc']:.1f}" if "auroc" in row else "",
    "other's AUROC": lambda row: f"{100 * row['peer_auroc']:.1f}" if "auroc" in row else "",
}


def speed(rows: Rows) -> str:
    """Every comparison, in one thread and in two."""
    columns: Columns = {
        "figure": "{set}",
        "threads": "{threads}",
        "ours, CPU s": "{cpu_s:.3g}",
        "other, CPU s": "{peer_cpu_s:.3g}",
        "ratio, CPU": ratio,
        "ratio, wall": "{wall_ratio:.2f}",
        **QUALITY,
    }
    order = list(JOBS)
    rows = sorted(rows, key=lambda row: (row["threads"], order.index(row["set"])))
    return markdown(columns, rows, _note(rows))


def _note(rows: Rows) -> str:
    return f"{made_with(rows, 'torch', 'pyod', cpu=True)}; `make bench-speed`."


FASTER = {  # the comparisons that the README shows, in its words
    "fit, batch 32, 50,000 × 30": "fit, the same modules and steps, batch 32",
    "fit, batch 1024, 50,000 × 30": "the same, batch 1,024",
    "fit, defaults, autoencoder, 50,000 × 30": "fit, each with its defaults: plain autoencoder",
    "fit, defaults, recommended, 50,000 × 30": "the same: recommended detector",
    "score, 500,000 × 30": "score, the same modules",
    "import": "import",
}


def short(rows: Rows) -> str:
    """What the README says of speed: one thread, beside the peer."""
    own = {row["set"]: row for row in rows if row["threads"] == 1}
    shown = [own[name] for name in FASTER if name in own]
    columns: Columns = {
        "50,000 × 30, scored 500,000 × 30": lambda row: FASTER[row["set"]],
        "CPU s": "{cpu_s:.2g}",
        "PyOD's autoencoder, CPU s": "{peer_cpu_s:.2g}",
        "times as fast": "{cpu_ratio:.3g}",
        "AUROC": QUALITY["AUROC"],
        "PyOD's": QUALITY["other's AUROC"],
    }
    note = f"One thread, medians of pairs, AUROC on generated anomalies; {_note(shown)}"
    return markdown(columns, shown, note, *_rates(own))


def _rates(own: dict[str, dict[str, Any]]) -> list[str]:
    """Rows a second of two detectors, where both are measured."""
    names = {
        "recommended": "score and network, recommended, 50,000 × 30",
        "autoencoder": "score and network, autoencoder, 500,000 × 30",
    }
    if not own.keys() >= set(names.values()):
        return []
    rates = {k: f"{own[name]['rows'] / own[name]['cpu_s']:,.0f}" for k, name in names.items()}
    return [
        "The recommended detector also searches 10,000 remembered rows for neighbours: of 30 "
        f"columns it scores {rates['recommended']} rows a CPU second, the plain autoencoder "
        f"{rates['autoencoder']}."
    ]


STUDY = Study(
    "speed",
    Measurements(measure, key=("set", "threads"), quick=True),
    blocks={"speed": speed, "short-speed": short},
)
