"""How fast, beside the peer and beside the limit: `make bench-speed`, `--quick` for a short run.

Every figure of docs/performance.md is a job: both sides in one process, one after the other, five
times, in CPU and wall seconds; the ratio is the median of the ratios pair by pair. Each job runs
in a process of its own with one thread, then with two. Results are appended to
benchmarks/results/speed.jsonl (`--quick`: speed-quick.jsonl in the same folder, not kept); a job
that is there already is not run again.

`--bounds`: some of the jobs again, in one thread, with a third side that takes its turn: what ours
has torch do, and nothing else, which is about what ours could reach. To bounds.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

REPEATS = 5
BOUNDED = False  # whether the third side is measured
BLOCK = 4096  # rows in which a network alone is fastest
SIDE = Callable[[], Any]
DRIVERS = 8  # of a table's columns: the others follow from them


def table(rows: int, columns: int, seed: int = 0) -> Any:
    """Normal rows, float32: eight drivers mixed into all columns, and a little noise."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(DRIVERS, columns))
    values = rng.normal(size=(rows, DRIVERS)) @ mixing + 0.3 * rng.normal(size=(rows, columns))
    return values.astype(np.float32)


def judged(columns: int) -> tuple[Any, Any]:
    """New rows, half of them anomalies, and which: a fifth of their columns are other rows'."""
    rng = np.random.default_rng(2)
    X = table(4000, columns, seed=3)
    swapped = rng.random((2000, columns)) < 0.2
    X[:2000][swapped] = table(2000, columns, seed=4)[swapped]
    return X, np.arange(4000) < 2000


def auroc(score: Callable[[Any], Any], columns: int) -> float:
    from sklearn.metrics import roc_auc_score

    X, anomalous = judged(columns)
    return round(float(roc_auc_score(anomalous, score(X))), 4)


def peer(**parameters: Any) -> Any:
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(random_state=0, verbose=0, **parameters)


PLAIN: dict[str, Any] = {"dropout_rate": 0.0, "optimizer_params": {}}  # Adam, as it is, on both


def same_networks(columns: int) -> tuple[Any, Any]:
    """The peer's own modules, to be trained by us."""
    import torch
    from pyod.models.auto_encoder import AutoEncoderModel

    torch.manual_seed(0)
    model = AutoEncoderModel(columns, dropout_rate=0.0)
    return model.encoder, model.decoder


def bare_steps(columns: int, batch_size: int, steps: int) -> None:
    """Steps of the same modules on one batch: both passes through torch, and its fused Adam."""
    import torch
    from torch.nn.functional import mse_loss

    encoder, decoder = same_networks(columns)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    batch = torch.from_numpy(table(batch_size, columns))
    for _ in range(steps):
        adam.zero_grad()
        mse_loss(decoder(encoder(batch)), batch).backward()
        adam.step()


def same_fit(rows: int, columns: int, batch_size: int, epochs: int) -> dict[str, Any]:
    """The same modules, Adam at the same constant rate, the same batches and number of steps."""
    import lampblack

    X = table(rows, columns)
    steps = epochs * (rows // batch_size)
    fitted: dict[str, Any] = {}

    def ours() -> None:
        fitted["ours"] = lampblack.AutoencoderDetector(
            networks=same_networks(columns),
            batch_size=batch_size,
            max_steps=steps,
            learning_rate=1e-3,
            schedule="constant",
        ).fit(X)

    def theirs() -> None:
        fitted["peer"] = peer(batch_size=batch_size, epoch_num=epochs, **PLAIN).fit(X)

    figures = compare(ours, theirs, limit=lambda: bare_steps(columns, batch_size, steps))
    return {
        **figures,
        "steps": steps,
        "auroc": auroc(fitted["ours"].anomaly_score, columns),
        "peer_auroc": auroc(fitted["peer"].decision_function, columns),
    }


def default_fit(rows: int, columns: int, name: str) -> dict[str, Any]:
    """Each with its own defaults."""
    import lampblack

    X = table(rows, columns)
    fitted: dict[str, Any] = {}

    def ours() -> None:
        fitted["ours"] = getattr(lampblack, name)().fit(X)

    def theirs() -> None:
        fitted["peer"] = peer().fit(X)

    return {
        **compare(ours, theirs),
        "auroc": auroc(fitted["ours"].anomaly_score, columns),
        "peer_auroc": auroc(fitted["peer"].decision_function, columns),
    }


def scoring(rows: int, columns: int) -> dict[str, Any]:
    """`anomaly_score` and the peer's `decision_function`, of the same modules; rows a CPU second.

    The peer takes a tenth of the rows.
    """
    import lampblack

    X = table(rows, columns)
    ours = lampblack.AutoencoderDetector(networks=same_networks(columns), max_steps=50)
    ours.fit(X[:20_000])
    theirs = peer(batch_size=1024, epoch_num=1, **PLAIN).fit(X[:20_000])
    theirs.batch_size = 32  # its default
    few = X[: rows // 10]
    figures = compare(
        lambda: ours.anomaly_score(X),
        lambda: theirs.decision_function(few),
        share=10,
        limit=lambda: bare(ours.networks_, X, BLOCK),
    )
    return {**figures, "rows": rows}


def bare(pair: Any, X: Any, block: int) -> None:
    """A network alone, block by block."""
    import torch

    with torch.inference_mode():
        for some in torch.split(torch.from_numpy(X), block):
            pair(some)


def search_products(detector: Any, X: Any) -> None:
    """The products alone of a search for neighbours in three views, in the blocks of the search."""
    import torch

    from lampblack.scores.nearest.memory import TOGETHER

    memory = detector.networks_.memory
    rows = torch.randn(TOGETHER, memory.shape[1] + 1)
    samples = torch.randn(memory.shape[1] + 1, len(memory))
    result = torch.empty(TOGETHER, len(memory))
    for _ in range(len(detector.networks_.views) * -(-len(X) // TOGETHER)):
        torch.mm(rows, samples, out=result)


def against_network(name: str, shape: tuple[int, ...], rows: int) -> dict[str, Any]:
    """`anomaly_score` and the network alone, in blocks of 4,096 rows, or 64 images.

    The limit of the recommended detector is its network, and the products of its search.
    """
    import lampblack

    if len(shape) == 1:
        X = table(rows, *shape)
    else:
        X = np.random.default_rng(0).random((rows, *shape), dtype=np.float32)
    detector = getattr(lampblack, name)(max_steps=20).fit(X[:20_000] if len(shape) == 1 else X)
    block = BLOCK if len(shape) == 1 else 64

    def network() -> None:
        bare(detector.networks_, X, block)

    def network_and_search() -> None:
        network()
        search_products(detector, X)

    figures = compare(
        lambda: detector.anomaly_score(X),
        network,
        limit=network_and_search if name == "LampblackDetector" else None,
    )
    return {**figures, "rows": rows}


def products(batch_size: int) -> dict[str, Any]:
    """A training step of 274 → 256 → 128 → 32 and back, and `torch.mm` of its matrices alone."""
    import torch

    import lampblack

    X = table(20_000, 274)
    steps = 200
    widths = [274, 256, 128, 32, 128, 256, 274]
    pairs = list(pairwise(widths))
    x = [torch.randn(batch_size, n) for n in widths]
    weights = [torch.randn(after, before) for before, after in pairs]

    def alone() -> None:
        for _ in range(steps):
            for i, weight in enumerate(weights):
                torch.mm(x[i], weight.t())  # forwards
                torch.mm(x[i + 1].t(), x[i])  # to the weights
                if i:
                    torch.mm(x[i + 1], weight)  # to the inputs

    parameters = {"batch_size": batch_size, "latent_dim": 32, "hidden": (256, 128)}

    def fit(steps: int) -> Any:
        return lampblack.AutoencoderDetector(max_steps=steps, **parameters).fit(X)

    from lampblack.training.callbacks import Callback

    class Clock(Callback):
        def on_step_end(self, step: int) -> None:
            if step in (20, steps + 20):
                marks.append(now())

    marks: list[tuple[float, float]] = []
    pairs_of_times = []
    for _ in range(REPEATS):
        marks.clear()
        lampblack.AutoencoderDetector(max_steps=steps + 20, **parameters).fit(
            X, callbacks=[Clock()]
        )
        pairs_of_times.append((_between(*marks), _timed(alone)))
    flops = 2 * batch_size * (3 * sum(a * b for a, b in pairs) - 274 * 256)
    return {**summary(pairs_of_times, 1.0), "steps": steps, "flop_a_step": flops}


def starting(ours: list[str], theirs: list[str]) -> dict[str, Any]:
    """CPU seconds of two Python processes, with warm bytecode."""

    def run(arguments: list[str]) -> Callable[[], None]:
        command = [sys.executable, *arguments]
        return lambda: void(subprocess.run(command, check=True, capture_output=True))

    return compare(run(ours), run(theirs), of_children=True)


READ = """
import sys
from pyarrow import csv
for batch in csv.open_csv(sys.argv[1], csv.ReadOptions(use_threads=False)):
    pass
"""


def file_scoring(name: str, megabytes: int) -> dict[str, Any]:
    """`lampblack score` of a CSV file, and pyarrow's reading of it alone."""
    import pyarrow as pa
    from pyarrow import csv

    with tempfile.TemporaryDirectory() as folder:
        rows = pa.table({f"v{i}": column for i, column in enumerate(table(100_000, 30).T)})
        data, model = Path(folder, "rows.csv"), str(Path(folder, "a.model"))
        csv.write_csv(rows.slice(0, 20_000), Path(folder, "normal.csv"))
        csv.write_csv(rows, data)
        block = data.read_bytes().split(b"\n", 1)[1]
        with data.open("ab") as file:
            while file.tell() < megabytes * 1e6:
                file.write(block)
        command = [sys.executable, "-m", "lampblack"]
        fit = ["fit", f"{folder}/normal.csv", "-o", model, "-d", name, "-q"]
        subprocess.run([*command, *fit], check=True, capture_output=True)
        score = [*command, "score", model, str(data), "-o", f"{folder}/scores.parquet", "-q"]
        read = [sys.executable, "-c", READ, str(data)]
        figures = compare(
            lambda: void(subprocess.run(score, check=True, capture_output=True)),
            lambda: void(subprocess.run(read, check=True, capture_output=True)),
            of_children=True,
            repeats=3,
        )
        return {**figures, "file_mb": round(data.stat().st_size / 1e6)}


def void(_: object) -> None:
    """Nothing of a result."""


def now(*, of_children: bool = False) -> tuple[float, float]:
    """CPU seconds, of this process or of those it waited for, and wall seconds."""
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime, time.perf_counter()


def _between(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    return end[0] - start[0], end[1] - start[1]


def _timed(side: SIDE, *, of_children: bool = False) -> tuple[float, float]:
    start = now(of_children=of_children)
    side()
    return _between(start, now(of_children=of_children))


def compare(
    ours: SIDE,
    theirs: SIDE,
    *,
    share: float = 1.0,
    limit: SIDE | None = None,
    of_children: bool = False,
    repeats: int | None = None,
) -> dict[str, Any]:
    """All sides in turn, after one of each that does not count; share: theirs does 1 / share.

    limit: what ours has torch do, and nothing else; with `--bounds`, `limit_ratio` is its ratio.
    """
    sides = [ours, theirs, limit] if BOUNDED and limit is not None else [ours, theirs]
    for side in sides:
        side()
    times = [
        [_timed(side, of_children=of_children) for side in sides] for _ in range(repeats or REPEATS)
    ]
    found = summary([(mine, other) for mine, other, *_ in times], share)
    if len(sides) > 2:
        bounds = [share * other[0] / least[0] for _, other, least in times]
        found["limit_ratio"] = round(float(np.median(bounds)), 3)
    return found


def summary(
    pairs: list[tuple[tuple[float, float], tuple[float, float]]], share: float
) -> dict[str, Any]:
    """Medians, and the ratio theirs / ours pair by pair: above 1 where ours is faster."""
    found: dict[str, Any] = {}
    for i, clock in enumerate(("cpu", "wall")):
        mine = np.array([pair[0][i] for pair in pairs])
        other = share * np.array([pair[1][i] for pair in pairs])
        ratios = other / mine
        found[f"{clock}_s"] = round(float(np.median(mine)), 4)
        found[f"peer_{clock}_s"] = round(float(np.median(other)), 4)
        found[f"{clock}_ratio"] = round(float(np.median(ratios)), 3)
        found[f"{clock}_ratios"] = [round(float(ratio), 3) for ratio in ratios]
    return found


PYOD_IMPORT = ["-c", "import pyod.models.auto_encoder"]
LARGE, WIDE, LONG = (50_000, 30), (5_000, 274), (500_000, 30)
PIXELS = (10_000, 784)  # as rows, since the peer takes no images

# name: what is compared, on how much, and the same for a quick run
JOBS: dict[str, tuple[Callable[..., dict[str, Any]], tuple[Any, ...], tuple[Any, ...]]] = {
    "fit, batch 32, 50,000 × 30": (same_fit, (*LARGE, 32, 2), (5_000, 30, 32, 1)),
    "fit, batch 1024, 50,000 × 30": (same_fit, (*LARGE, 1024, 10), (10_000, 30, 1024, 2)),
    "fit, batch 32, 5,000 × 274": (same_fit, (*WIDE, 32, 10), (2_000, 274, 32, 1)),
    "fit, batch 1024, 5,000 × 274": (same_fit, (*WIDE, 1024, 50), (2_048, 274, 1024, 4)),
    "fit, batch 32, 500,000 × 30": (same_fit, (*LONG, 32, 1), (6_000, 30, 32, 1)),
    "fit, batch 1024, 500,000 × 30": (same_fit, (*LONG, 1024, 2), (12_000, 30, 1024, 1)),
    "fit, batch 32, 10,000 × 28 × 28": (same_fit, (*PIXELS, 32, 1), (1_000, 784, 32, 1)),
    "fit, batch 1024, 10,000 × 28 × 28": (same_fit, (*PIXELS, 1024, 10), (2_048, 784, 1024, 2)),
    "fit, defaults, autoencoder, 50,000 × 30": (
        default_fit,
        (*LARGE, "AutoencoderDetector"),
        (2_000, 30, "AutoencoderDetector"),
    ),
    "fit, defaults, recommended, 50,000 × 30": (
        default_fit,
        (*LARGE, "LampblackDetector"),
        (2_000, 30, "LampblackDetector"),
    ),
    "score, 500,000 × 30": (scoring, LONG, (50_000, 30)),
    "score, 5,000 × 274": (scoring, WIDE, WIDE),
    "score and network, autoencoder, 500,000 × 30": (
        against_network,
        ("AutoencoderDetector", (30,), 500_000),
        ("AutoencoderDetector", (30,), 50_000),
    ),
    "score and network, recommended, 50,000 × 30": (
        against_network,
        ("LampblackDetector", (30,), 50_000),
        ("LampblackDetector", (30,), 5_000),
    ),
    "score and network, autoencoder, 28 × 28": (
        against_network,
        ("AutoencoderDetector", (1, 28, 28), 5_000),
        ("AutoencoderDetector", (1, 28, 28), 500),
    ),
    "train and torch.mm, 274 → 256 → 128 → 32, batch 1024": (products, (1024,), (256,)),
    "import": (starting, (["-c", "import lampblack"], PYOD_IMPORT), ()),
    "--help": (starting, (["-m", "lampblack", "--help"], PYOD_IMPORT), ()),
    "score a CSV file, autoencoder": (file_scoring, ("autoencoder", 1000), ("autoencoder", 20)),
    "score a CSV file, recommended": (file_scoring, ("lampblack", 100), ("lampblack", 5)),
}


BOUNDS = (  # jobs that have a third side; of fits, those that take minutes and not an hour
    "fit, batch 32, 50,000 × 30",
    "fit, batch 1024, 50,000 × 30",
    "fit, batch 32, 5,000 × 274",
    "fit, batch 1024, 5,000 × 274",
    "fit, batch 32, 10,000 × 28 × 28",
    "fit, batch 1024, 10,000 × 28 × 28",
    "score, 500,000 × 30",
    "score, 5,000 × 274",
    "score and network, recommended, 50,000 × 30",
)


def run_job(name: str, *, quick: bool) -> dict[str, Any]:
    """Measure one figure in this process."""
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    run, whole, short = JOBS[name]
    return run(*(short or whole if quick else whole))


def main() -> None:
    """Run what is not there yet."""
    from benchmarks import render
    from benchmarks.evidence import RESULTS, drop_cut_line, keep_bytecode, provenance

    keep_bytecode()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, two repeats, one thread")
    parser.add_argument("--bounds", action="store_true", help="beside what ours has torch do")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    global REPEATS, BOUNDED  # noqa: PLW0603
    REPEATS = 2 if chosen.quick else REPEATS
    BOUNDED = chosen.bounds
    if chosen.job:
        print(json.dumps(run_job(chosen.job, quick=chosen.quick)))
        return
    kind = "bounds" if chosen.bounds else "speed"
    file = RESULTS / (f"{kind}-quick.jsonl" if chosen.quick else f"{kind}.jsonl")
    drop_cut_line(file)
    done = {(row["set"], row["threads"]) for row in render.read(file.stem)}
    for threads in (1,) if chosen.quick or chosen.bounds else (1, 2):
        for name in BOUNDS if chosen.bounds else JOBS:
            if (name, threads) in done:
                continue
            flags = ["--quick"] * chosen.quick + ["--bounds"] * chosen.bounds
            command = [sys.executable, __file__, f"--job={name}", *flags]
            limits = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
            result = subprocess.run(
                command, check=True, env={**os.environ, **limits}, stdout=subprocess.PIPE
            )
            found = json.loads(result.stdout.splitlines()[-1])
            row = {"set": name, "threads": threads, **found, **provenance()}
            with file.open("a") as output:
                output.write(json.dumps(row, ensure_ascii=False) + "\n")
            print(f"{threads} threads, {name}: {row['cpu_ratio']:.2f}", flush=True)
    if not chosen.quick:
        render.render()


if __name__ == "__main__":
    main()
