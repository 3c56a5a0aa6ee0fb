"""The model card: the README.md of a model folder, for whoever finds it."""

from __future__ import annotations

from lampblack.persistence.config import ModelConfig


def model_card(config: ModelConfig) -> str:
    """A page of Markdown that says what the model is, what it promises and how to use it."""
    kinds = "\n".join(
        f"| {column.name} | {column.kind} | {'yes' if column.nullable else 'no'} |"
        for column in config.table.columns
    )
    notes = "\n".join(f"- {note}" for note in config.notes) or "None."
    rows = ", ".join(f"{count} {use}" for use, count in config.rows.items())
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    return f"""# {config.detector}

An anomaly detector fitted on normal rows with lampblack. A row is an alarm where its anomaly score
is above {config.calibration.threshold:.6g}.

{_promise(config)}

Rows: {rows}.

## Use

```
lampblack score THIS_FOLDER new.csv -o scores.csv
```

```python
import lampblack

detector = lampblack.load("THIS_FOLDER")
detector.predict(rows)  # -1 anomaly, +1 normal
```

Loading checks every file against `manifest.json` and runs no code of the folder's.

## Columns

| column | kind | may be missing |
|---|---|---|
{kinds}

## Notes from fitting

{notes}

## Fitted with

{versions}; {config.threads} threads. The same versions and threads give the same bits.
"""


def _promise(config: ModelConfig) -> str:
    facts = config.calibration
    if facts.origin == "training":
        return (
            f"The threshold flags {facts.requested:.2%} of the training rows themselves "
            "(contamination); it promises no false-alarm rate for new rows."
        )
    return (
        f"Promise: of new normal rows that are exchangeable with the calibration rows, at most "
        f"{facts.promised:.2%} raise an alarm, in expectation. Rows that drift away from them are "
        "not covered by it."
    )
