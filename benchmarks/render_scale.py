"""Rates of training and scoring to the tables of docs/scale.md, and what they mean on paper."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.scale import SCORING, TRAINING

Rows = list[dict[str, Any]]

NONE = "Not measured yet.\n"
SIZES = {"10⁹": 10**9, "10¹²": 10**12}
POSITIONS = 3 * 8  # bytes of each row of a file that is fitted as it lies


def scoring(rows: Rows) -> str:
    """Rows a second of the engines."""
    found = {row["case"]: row for row in rows if row["kind"] == "scoring"}
    if any(case not in found for case in SCORING):
        return NONE
    lines = [
        "| `score` by | rows/s | ratio | start and end, s | whole run, s | peak memory, MiB |",
        "|---|---|---|---|---|---|",
    ]
    first = found[next(iter(SCORING))]
    for case in SCORING:
        row = found[case]
        lines.append(
            f"| {case} | {row['rows_per_s']:,} | {row['rows_per_s'] / first['rows_per_s']:.2f} | "
            f"{round(row['start_s'])} | {row['wall_s']:.0f} | {row['peak_mib']:,} |"
        )
    return "\n".join(lines) + (
        f"\n\nThe recommended detector, {first['rows']:,} rows of 30 columns in Parquet files; "
        f"memory is that of all processes together.\n\n{_provenance(rows)}\n"
    )


def paper(rows: Rows) -> str:
    """What many rows take to score: hours of one machine, machines for a day and for an hour."""
    found = {row["case"]: row for row in rows if row["kind"] == "scoring"}
    busiest = list(SCORING)[-1]
    if busiest not in found:
        return NONE
    row = found[busiest]
    rate = row["rows_per_s"]
    lines = [
        "| rows | input, TB | scores, TB | hours of one machine | machines for 24 h "
        "| machines for 1 h | memory of each, GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, count in SIZES.items():
        hours = count / rate / 3600
        lines.append(
            f"| {name} | {count * row['bytes_per_row'] / 1e12:,.2f} | "
            f"{count * row['score_bytes_per_row'] / 1e12:,.2f} | {hours:,.1f} | "
            f"{math.ceil(hours / 24):,} | {math.ceil(hours):,} | {row['peak_mib'] / 1024:.1f} |"
        )
    read = rate * row["bytes_per_row"] / 1e6
    written = rate * row["score_bytes_per_row"] / 1e6
    return "\n".join(lines) + (
        f"\n\nFrom {rate:,} rows a second of one machine of {row['machine'].split(',')[0]} with "
        f"{row['workers']} workers, which reads {read:.0f} and writes {written:.1f} MB a second: "
        "what the storage must give to every machine at once.\n"
    )


def paper_training(rows: Rows) -> str:
    """What many rows take to train on: from their file, and in a pass over all in memory."""
    (case,) = TRAINING
    found = {row["case"]: row for row in rows if row["kind"] == "training"}
    memory = next((row["bytes_per_row"] for row in rows if row["kind"] == "memory"), None)
    if case not in found or memory is None:
        return NONE
    from lampblack import LampblackDetector

    batch = TRAINING[case]["batch_size"]
    rate = found[case]["steps_per_s"] * batch
    lines = [
        "| rows | a fit from the file: positions, GiB | a pass in memory: GiB of each machine "
        "| hours of it, one machine | machines for 1 h |",
        "|---|---|---|---|---|",
    ]
    for name, count in SIZES.items():
        hours = count / rate / 3600
        lines.append(
            f"| {name} | {count * POSITIONS / 2**30:,.0f} | {count * memory / 2**30:,.0f} | "
            f"{hours:,.1f} | {math.ceil(hours):,} |"
        )
    defaults = LampblackDetector.DEFAULTS["table"]
    looked_at = defaults["max_steps"] * defaults["batch_size"]
    return "\n".join(lines) + (
        f"\n\nFrom {memory:,} bytes a row, measured on tables of one and two million, and "
        f"{rate:,.0f} rows a second in one process at batch {batch:,}. The default budget is "
        f"{defaults['max_steps']} steps of {defaults['batch_size']} rows: it looks at "
        f"{looked_at:,} rows, however many there are.\n"
    )


def _provenance(rows: Rows) -> str:
    first = rows[0]
    facts = ("lampblack", "torch", "machine")
    if any(row[fact] != first[fact] for row in rows for fact in facts):
        raise ValueError("the results mix versions or machines; delete them and rerun")
    return (
        f"One thread a process, unless said; lampblack {first['lampblack']}, "
        f"torch {first['torch']}, {first['machine']}; `python benchmarks/evidence.py scale`."
    )
