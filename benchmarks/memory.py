"""Peak memory of `lampblack score` as its file grows: a few rows, and 5 GB of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.growth import RUN

BYTES = 5_000_000_000  # of CSV
ROWS = 200_000  # of one block; the file repeats it
NUMBERS = 20
CASES = {  # file, further arguments; the first is what the model and the program themselves take
    "2,000 rows": ("small.csv", ()),
    "CSV": ("large.csv", ()),
    "CSV, `--explain 3`": ("large.csv", ("--explain", "3")),
    "CSV, gzipped": ("large.csv.gz", ()),
    "Parquet": ("large.parquet", ()),
}


def measure(done: set[str]) -> Iterator[dict[str, Any]]:
    """One fit, and one `lampblack score` for every case that is not in `done`."""
    cases = {name: case for name, case in CASES.items() if name not in done}
    if not cases:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _write_files(folder)
        _run(folder, "fit", "normal.csv", "-d", "toll", "-o", "a.model", "--quiet")
        for case, (file, arguments) in cases.items():
            yield {"set": case, **_score(folder, file, arguments, rows)}


def _score(folder: Path, file: str, arguments: tuple[str, ...], rows: int) -> dict[str, Any]:
    usage = _run(folder, "score", "a.model", file, "-o", "scores.parquet", *arguments)
    return {
        "file_mb": round((folder / file).stat().st_size / 1e6),
        "rows": 2000 if file == "small.csv" else rows,
        "peak_mib": usage["peak_mib"],
        "cpu_s": round(usage["cpu_s"], 1),
    }


def _run(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the command line; what it used, as the process itself says."""
    finished = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], cwd=folder, stdout=subprocess.PIPE, check=True
    )
    return dict(json.loads(finished.stdout.splitlines()[-1]))


def _write_files(folder: Path) -> int:
    """The files of all cases; returns the rows of the large ones, which hold the same rows."""
    rng = np.random.default_rng(0)
    drivers = rng.normal(size=(ROWS, 3))
    values = drivers @ rng.normal(size=(3, NUMBERS)) + rng.normal(0, 0.1, (ROWS, NUMBERS))
    frame = pd.DataFrame(values, columns=[f"v{i}" for i in range(NUMBERS)])
    frame.insert(0, "at", pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(ROWS), "min"))
    frame["site"] = rng.choice(["Bern", "Oslo", "Rome"], ROWS)
    frame["valve"] = rng.random(ROWS) > 0.5
    frame.loc[rng.random(ROWS) < 0.05, "v0"] = np.nan
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pa.csv.write_csv(table.slice(0, 20_000), folder / "normal.csv")
    pa.csv.write_csv(table.slice(0, 2_000), folder / "small.csv")
    head, block = folder / "head.csv", folder / "block.csv"
    pa.csv.write_csv(table.slice(0, 0), head)
    pa.csv.write_csv(table, block, pa.csv.WriteOptions(include_header=False))
    repeats = -(-BYTES // block.stat().st_size)
    with (folder / "large.csv").open("wb") as plain:
        for part in [head, *[block] * repeats]:
            plain.write(part.read_bytes())
    for part in (head, block):
        subprocess.run(["gzip", "-1", part], check=True)
    with (folder / "large.csv.gz").open("wb") as packed:  # a gzip file may have many members
        for part in ["head.csv.gz", *["block.csv.gz"] * repeats]:
            packed.write((folder / part).read_bytes())
    with pq.ParquetWriter(folder / "large.parquet", table.schema) as parquet:
        for _ in range(repeats):
            parquet.write_table(table)
    return repeats * ROWS
