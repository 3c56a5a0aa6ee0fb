"""How many rows a second do one process and Ray score?

Every case runs in a process of its own, in about six minutes on an idle machine. Each process has
one thread, unless the case says otherwise. Rates leave the start of processes out, which is a
column of its own.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.lab.apart import apart
from benchmarks.lab.markdown import NONE, Columns, made_with, markdown
from benchmarks.lab.memory import Peak
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Study

COLUMNS = 30
ROWS = 50_000  # of a file to score
FILES = 40
SCORING = {  # engine, workers, threads of each
    "this process": ("local", 1, 1),
    "this process, 2 threads": ("local", 1, 2),
    "Ray, 1 worker": ("ray", 1, 1),
    "Ray, 2 workers": ("ray", 2, 1),
}


def cases() -> list[dict[str, Any]]:
    """Everything that is measured; "set" tells one from the other."""
    return [{"set": f"scoring: {name}", "kind": "scoring", "case": name} for name in SCORING]


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """The cases that are not done."""
    wanted = [case for case in cases() if (case["set"],) not in done]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        apart(write_files, folder)
        for case in wanted:
            threads = SCORING[case["case"]][2]
            yield {**case, **apart(run, case["case"], folder, threads=threads)}


def write_files(name: str) -> None:
    """Files to score and a model, the recommended one, that does."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    import lampblack

    folder = Path(name)
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, COLUMNS))
    (folder / "data").mkdir()
    for number in range(FILES):
        X = rng.normal(size=(ROWS, 5)) @ mixing + 0.1 * rng.normal(size=(ROWS, COLUMNS))
        table = pa.table({f"v{i}": X[:, i].astype(np.float32) for i in range(COLUMNS)})
        parquet.write_table(table, folder / "data" / f"part-{number:02}.parquet")
    lampblack.recommended().fit(table.slice(0, 50_000)).save(folder / "a.model")


def run(case: str, name: str) -> dict[str, Any]:
    """Rows a second of a run over all files, what its start took, and its peak of memory.

    The rate is that between two moments at which all workers are busy: when a quarter of the files
    is done, and when all but one for each worker are. A file is done when its entry is written.
    """
    from lampblack import RowFormat, Scoring, score_files
    from lampblack.scale import find_files
    from lampblack.scale.partitions import LEDGER, RUN

    os.environ.pop("RAY_ADDRESS", None)
    engine, workers, _ = SCORING[case]
    folder = Path(name)
    files = find_files([folder / "data"])
    output = folder / case.replace(" ", "-")
    how: dict[str, Any] = {"engine": engine, "workers": workers}
    started = time.time()
    with Peak(tree=True) as peak:
        outcome = score_files(folder / "a.model", files, output, Scoring(RowFormat()), **how)
    wall = time.time() - started
    entries = [file for file in (output / LEDGER).glob("*.json") if file.name != RUN]
    times = sorted(file.stat().st_mtime for file in entries)
    first, last = len(files) // 4, len(files) - 1 - workers
    rate = ROWS * (last - first) / (times[last] - times[first])
    return {
        "workers": workers,
        "rows": outcome.rows,
        "rows_per_s": round(rate),
        "start_s": round(wall - outcome.rows / rate, 2),
        "wall_s": round(wall, 2),
        "peak_mib": peak.mib,
        "bytes_per_row": _bytes(files, outcome.rows),
        "score_bytes_per_row": _bytes([*output.glob("*.parquet")], outcome.rows),
    }


def _bytes(files: list[Path], rows: int) -> float:
    return round(sum(file.stat().st_size for file in files) / rows, 1)


def scoring(rows: Rows) -> str:
    """Rows a second of the engines."""
    found = {row["case"]: row for row in rows if row["kind"] == "scoring"}
    if any(case not in found for case in SCORING):
        return NONE
    own = [found[case] for case in SCORING]
    columns: Columns = {
        "`score` by": "{case}",
        "rows/s": "{rows_per_s:,}",
        "ratio": lambda row: f"{row['rows_per_s'] / own[0]['rows_per_s']:.2f}",
        "start and end, s": lambda row: round(row["start_s"]),
        "whole run, s": "{wall_s:.0f}",
        "peak memory, MiB": "{peak_mib:,}",
    }
    facts = f"The recommended detector, {own[0]['rows']:,} rows of 30 columns in Parquet files; "
    return markdown(columns, own, facts + "memory is that of all processes together.", note(rows))


def note(rows: Rows) -> str:
    """What made the rows."""
    made = made_with(rows, "torch")
    return f"One thread a process, unless said; {made}; `python -m benchmarks scale`."


def paper(rows: Rows) -> str:
    """What many rows take to score: hours of one machine, machines for a day and for an hour."""
    found = {row["case"]: row for row in rows if row["kind"] == "scoring"}
    row = found.get(list(SCORING)[-1])
    if row is None:
        return NONE
    rate, read, written = row["rows_per_s"], row["bytes_per_row"], row["score_bytes_per_row"]
    columns: Columns = {
        "rows": "{name}",
        "input, TB": lambda size: f"{size['rows'] * read / 1e12:,.2f}",
        "scores, TB": lambda size: f"{size['rows'] * written / 1e12:,.2f}",
        "hours of one machine": "{hours:,.1f}",
        "machines for 24 h": lambda size: f"{math.ceil(size['hours'] / 24):,}",
        "machines for 1 h": lambda size: f"{math.ceil(size['hours']):,}",
        "memory of each, GiB": lambda _: f"{row['peak_mib'] / 1024:.1f}",
    }
    return markdown(
        columns,
        sizes(rate),
        f"From {rate:,} rows a second of one machine of {row['machine'].split(',')[0]} with "
        f"{row['workers']} workers, which reads {rate * read / 1e6:.0f} and writes "
        f"{rate * written / 1e6:.1f} MB a second: what the storage must give to every machine at "
        "once.",
    )


def sizes(rate: float) -> Rows:
    """Numbers of rows that nobody measured here, and the hours they take at a rate a second."""
    numbers = {"10⁹": 10**9, "10¹²": 10**12}
    return [{"name": n, "rows": rows, "hours": rows / rate / 3600} for n, rows in numbers.items()]


STUDY = Study(
    "scale", Measurements(measure), blocks={"scale-scoring": scoring, "scale-paper": paper}
)
