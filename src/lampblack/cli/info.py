"""`lampblack info`: what a model is."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.cli.kinds import presentation_of
from lampblack.cli.models import refuse_missing
from lampblack.number_text import number, percent
from lampblack.persistence import read_config
from lampblack.persistence.portable import is_portable, read_portable


def run(model: Path, *, as_json: bool) -> None:
    """Print a model's facts after checking every file of it; no torch is needed."""
    refuse_missing(model)
    portable = is_portable(model)
    config = read_portable(model)[1].config if portable else read_config(model)
    if as_json:
        typer.echo(config.model_dump_json(indent=1))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = config.calibration
    schema = config.schema_of_data()
    kind = presentation_of(schema)
    used = kind.kind.noun
    promise = (
        f"at most {percent(facts.promised)} of new normal {used}, in expectation"
        if facts.origin == "held-out"
        else f"none: flags {percent(facts.requested)} of the training {used}"
    )
    last = config.history[-1] if config.history else {}
    table = Table(show_header=False)
    table.add_row("detector", config.detector + (", portable" if portable else ""))
    table.add_row("threshold", number(facts.threshold))
    table.add_row("false alarms promised", promise)
    table.add_row(used, ", ".join(f"{count:,} {use}" for use, count in config.rows.items()))
    table.add_row("steps", f"{last.get('step', 0):.0f}, last loss {number(last.get('loss', 0))}")
    parameters = ", ".join(f"{name}={value!r}" for name, value in config.parameters.items())
    table.add_row("parameters", escape(parameters))
    for name, text in kind.described(schema):
        table.add_row(name, escape(text))
    table.add_row("notes", escape("\n".join(config.notes)) or "-")
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    table.add_row("fitted with", f"{versions}; {config.threads} threads")
    Console().print(table)
