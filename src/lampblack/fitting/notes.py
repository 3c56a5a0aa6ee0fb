"""What has to be noted about a fit, and warned of."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from lampblack.data.kind import Encoder, Samples
from lampblack.data.names import listed
from lampblack.exceptions import InvalidInput, TrainingWarning
from lampblack.fitting.collapse import FEWEST_STEPS
from lampblack.model.model import REPEATED
from lampblack.number_text import number
from lampblack.training.batches import Samples as Batches
from lampblack.training.batches import TensorSamples
from lampblack.training.callbacks import Record

MOST_REPEATED = 0.05  # of some samples that may equal others, or fitted ones, unmentioned
MOST_SUMMED = 64  # values of a sample by which its likely copies are found


def _warned(note: str) -> list[str]:
    warnings.warn(note, TrainingWarning, stacklevel=3)
    return [note]


def nothing_learned(encoder: Encoder, n_columns: int) -> list[str]:
    """Warn, and note, where text never repeats in the training rows: nothing is learned from it."""
    names = encoder.unlearned
    if not names:
        return []
    if len(names) == n_columns:
        raise InvalidInput(f"the text of {listed(names)} never repeats: there is nothing to learn")
    return _warned(
        f"the text of {listed(names)} never repeats in training: nothing is learned from it"
    )


def left_out(count: int) -> list[str]:
    """Warn, and note, where there are more known anomalies than memory is set aside for."""
    if not count:
        return []
    return _warned(
        f"{count} known anomalies, drawn at random, were left out: the others fill 1 GiB"
    )


def repeated(encoder: Encoder, held_out: Samples, trained: Batches) -> list[str]:
    """Note where more than 5 % of the calibration samples equal a training sample, encoded.

    Not of samples that are read from files as training goes.
    """
    if not isinstance(trained, TensorSamples) or not len(held_out):
        return []
    held, seen = encoder.values(held_out), trained.values.cpu().numpy()
    wanted = {row.tobytes() for row in held}
    likely = seen[np.isin(_sums(seen), _sums(held))]
    found = wanted & {row.tobytes() for row in likely}
    count = sum(row.tobytes() in found for row in held)
    if count <= MOST_REPEATED * len(held):
        return []
    return [
        f"{count} of {len(held)} {REPEATED}; if they are copies, and not separate observations "
        "that agree, their scores are too low and the promised rate is not kept: remove the "
        "copies and fit again"
    ]


def _sums(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint64]:
    """A number (n,) for each sample (n, ...), the same for the same bits; of some of its values."""
    bits = values.reshape(len(values), -1).view(f"u{values.itemsize}")  # float32, or images' uint8
    rng = np.random.default_rng(0)
    if bits.shape[1] > MOST_SUMMED:  # not every so many: those may be one column of an image
        bits = bits[:, np.sort(rng.choice(bits.shape[1], MOST_SUMMED, replace=False))]
    factors = rng.integers(2**63, size=bits.shape[1], dtype=np.uint64)
    size = max(1, (1 << 17) // bits.shape[1])  # samples at a time: a product takes 8 bytes a value
    pieces = range(0, len(bits), size)
    return np.concatenate([(bits[i : i + size] * factors).sum(axis=1) for i in pieces])


def idle_training(history: list[Record], falling: str) -> list[str]:
    """Warn, and note, where training went on for a while and lowered nothing."""
    first, last = history[0][falling], history[-1][falling]
    what = falling if falling == "loss" else f"{falling} error"
    likely = "scores are hardly better than an untrained network's: " if falling == "loss" else ""
    if history[-1]["step"] < FEWEST_STEPS or last < first or last == 0:
        return []
    return _warned(
        f"training did not lower the {what} ({number(first)} in the first epoch, {number(last)} in "
        f"the last); {likely}change learning_rate"
    )
