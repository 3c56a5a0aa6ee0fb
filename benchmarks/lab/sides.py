"""Pairs of what is timed in turn: ours, and a peer's or torch's own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lab.generated import judged, table
from benchmarks.lab.timing import Stopwatch, between, now, summary, timed

BLOCK = 4096  # rows in which a network alone is fastest


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


def fits(
    watch: Stopwatch, ours: Any, theirs: Any, X: Any, limit: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Two fits of the same rows, each of what a call gives, and how well both tell apart."""
    fitted: dict[str, Any] = {}

    def fit(name: str, unfitted: Callable[[], Any]) -> Callable[[], None]:
        return lambda: fitted.update({name: unfitted().fit(X)})

    figures = watch.compare(fit("ours", ours), fit("peer", theirs), limit=limit)
    return figures | {
        "auroc": auroc(fitted["ours"].anomaly_score, X.shape[1]),
        "peer_auroc": auroc(fitted["peer"].decision_function, X.shape[1]),
    }


def same_fit(
    watch: Stopwatch, rows: int, columns: int, batch_size: int, epochs: int
) -> dict[str, Any]:
    """The same modules, Adam at the same constant rate, the same batches and number of steps."""
    import lampblack

    steps = epochs * (rows // batch_size)

    def ours() -> Any:
        return lampblack.AutoencoderDetector(
            networks=same_networks(columns),
            batch_size=batch_size,
            max_steps=steps,
            learning_rate=1e-3,
            schedule="constant",
        )

    found = fits(
        watch,
        ours,
        lambda: peer(batch_size=batch_size, epoch_num=epochs, **PLAIN),
        table(rows, columns),
        limit=lambda: bare_steps(columns, batch_size, steps),
    )
    return {**found, "steps": steps}


def default_fit(watch: Stopwatch, rows: int, columns: int, name: str) -> dict[str, Any]:
    """Each with its own defaults."""
    import lampblack

    return fits(watch, getattr(lampblack, name), peer, table(rows, columns))


def scoring(watch: Stopwatch, rows: int, columns: int) -> dict[str, Any]:
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
    figures = watch.compare(
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

    memory = detector.model_.score.remembered
    count, width = memory.samples.shape
    rows = torch.randn(TOGETHER, width + 1)
    samples = torch.randn(width + 1, count)
    result = torch.empty(TOGETHER, count)
    for _ in range(len(memory.views) * -(-len(X) // TOGETHER)):
        torch.mm(rows, samples, out=result)


def against_network(
    watch: Stopwatch, name: str, shape: tuple[int, ...], rows: int
) -> dict[str, Any]:
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

    figures = watch.compare(
        lambda: detector.anomaly_score(X),
        network,
        limit=network_and_search if name == "LampblackDetector" else None,
    )
    return {**figures, "rows": rows}


def products(watch: Stopwatch, batch_size: int) -> dict[str, Any]:
    """A training step of 274 → 256 → 128 → 32 and back, and `torch.mm` of its matrices alone."""
    import torch

    import lampblack

    X = table(20_000, 274)
    warm_up, steps = 20, 200
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

    class Clock(lampblack.Callback):
        def __init__(self) -> None:
            self.marks: list[tuple[float, float]] = []

        def on_step_end(self, step: int) -> None:
            if step in (warm_up, warm_up + steps):
                self.marks.append(now())

    def ours() -> tuple[float, float]:
        clock = Clock()
        lampblack.AutoencoderDetector(
            batch_size=batch_size, latent_dim=32, hidden=(256, 128), max_steps=warm_up + steps
        ).fit(X, callbacks=[clock])
        return between(*clock.marks)

    times = [(ours(), timed(alone)) for _ in range(watch.repeats)]
    flops = 2 * batch_size * (3 * sum(a * b for a, b in pairs) - 274 * 256)
    return {**summary(times), "steps": steps, "flop_a_step": flops}


def process(*arguments: str) -> Callable[[], object]:
    """A Python process, from its start to its end."""
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def starting(watch: Stopwatch, ours: list[str], theirs: list[str]) -> dict[str, Any]:
    """CPU seconds of two Python processes, with warm bytecode."""
    return watch.compare(process(*ours), process(*theirs), of_children=True)


READ = """
import sys
from pyarrow import csv
for batch in csv.open_csv(sys.argv[1], csv.ReadOptions(use_threads=False)):
    pass
"""


def file_scoring(watch: Stopwatch, name: str, megabytes: int) -> dict[str, Any]:
    """`lampblack score` of a CSV file, and pyarrow's reading of it alone."""
    import pyarrow as pa
    from pyarrow import csv

    with tempfile.TemporaryDirectory() as folder:
        rows = pa.table({f"v{i}": column for i, column in enumerate(table(100_000, 30).T)})
        data, model = Path(folder, "rows.csv"), f"{folder}/a.model"
        csv.write_csv(rows.slice(0, 20_000), f"{folder}/normal.csv")
        csv.write_csv(rows, data)
        block = data.read_bytes().split(b"\n", 1)[1]
        with data.open("ab") as file:
            while file.tell() < megabytes * 1e6:
                file.write(block)
        command = ("-m", "lampblack")
        process(*command, "fit", f"{folder}/normal.csv", "-o", model, "-d", name, "-q")()
        figures = watch.compare(
            process(*command, "score", model, str(data), "-o", f"{folder}/s.parquet", "-q"),
            process("-c", READ, str(data)),
            of_children=True,
            repeats=3,
        )
        return {**figures, "file_mb": round(data.stat().st_size / 1e6)}
