"""Does the memory of `lampblack score` grow with its file, up to 5 GB?"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lab.apart import command
from benchmarks.lab.markdown import Columns, made_with, markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Study

BYTES = 5_000_000_000  # of CSV
ROWS = 200_000  # of one block; the file repeats it
SMALL = 2_000
NUMBERS = 20
CASES = {  # file, further arguments; the first is what the model and the program themselves take
    "2,000 rows": ("small.csv", ()),
    "CSV": ("large.csv", ()),
    "CSV, `--explain 3`": ("large.csv", ("--explain", "3")),
    "CSV, gzipped": ("large.csv.gz", ()),
    "Parquet": ("large.parquet", ()),
}


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """One fit, and one `lampblack score` for every case that is not done."""
    cases = {name: case for name, case in CASES.items() if (name,) not in done}
    if not cases:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_files(folder)
        command("fit", "normal.csv", "-d", "toll", "-o", "a.model", "--quiet", folder=folder)
        for case, (file, more) in cases.items():
            used = command("score", "a.model", file, "-o", "s.parquet", *more, folder=folder)
            yield {
                "set": case,
                "file_mb": round((folder / file).stat().st_size / 1e6),
                "rows": SMALL if file == "small.csv" else rows,
                "peak_mib": used["peak_mib"],
                "cpu_s": round(used["cpu_s"], 1),
            }


def write_files(folder: Path) -> int:
    """The files of all cases; returns the rows of the large ones, which hold the same rows."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    table = block_of_rows()
    pa.csv.write_csv(table.slice(0, 20_000), folder / "normal.csv")
    pa.csv.write_csv(table.slice(0, SMALL), folder / "small.csv")
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


def block_of_rows() -> Any:
    """Rows of numbers, dates, text and truth values, some of them missing."""
    import pandas as pd
    import pyarrow as pa

    rng = np.random.default_rng(0)
    drivers = rng.normal(size=(ROWS, 3))
    values = drivers @ rng.normal(size=(3, NUMBERS)) + rng.normal(0, 0.1, (ROWS, NUMBERS))
    frame = pd.DataFrame(values, columns=[f"v{i}" for i in range(NUMBERS)])
    frame.insert(0, "at", pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(ROWS), "min"))
    frame["site"] = rng.choice(["Bern", "Oslo", "Rome"], ROWS)
    frame["valve"] = rng.random(ROWS) > 0.5
    frame.loc[rng.random(ROWS) < 0.05, "v0"] = np.nan
    return pa.Table.from_pandas(frame, preserve_index=False)


def memory(rows: Rows) -> str:
    """Peak memory of scoring by file, and what it is above scoring a few rows."""
    least = rows[0]["peak_mib"]
    columns: Columns = {
        "`lampblack score` of": "{set}",
        "file, MB": "{file_mb:,}",
        "rows": "{rows:,}",
        "peak memory, MiB": "{peak_mib:,}",
        "above the first row, MiB": lambda row: f"{row['peak_mib'] - least:,}",
        "CPU s": "{cpu_s:,.0f}",
    }
    note = f"{made_with(rows, 'pyarrow')}; `python -m benchmarks memory`."
    return markdown(columns, rows, note)


STUDY = Study("memory", Measurements(measure), blocks={"memory": memory})
