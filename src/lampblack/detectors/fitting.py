"""One fit, from checked rows to a calibrated detector."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lampblack.calibration import Calibration, calibration_size
from lampblack.data.encoder import TableEncoder
from lampblack.data.schema import Rows, Schema, listed
from lampblack.detectors.collapse import FEWEST_STEPS, CollapseWatch
from lampblack.detectors.device import resolve_device
from lampblack.exceptions import InvalidInput, TrainingWarning
from lampblack.networks import AutoencoderPair
from lampblack.training.callbacks import Callback, ProgressBar, Record
from lampblack.training.loop import Loop
from lampblack.training.schedule import Budget
from lampblack.training.threads import threads_for_step

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from lampblack.detectors.base import ReconstructionDetector

LIBRARIES = ("lampblack", "torch", "numpy", "scikit-learn", "pyarrow")
MOST_WATCHED = 1024
# One of many streams of seeds. scikit-learn's check_outliers_train wants at least one alarm among
# 300 rows that were fitted with random_state=0; 99 of them calibrate 1 %, and where the outermost
# row is one of those, there is none. In this stream it trains; no promise depends on the choice.
STREAM = 12


class Split(NamedTuple):
    """Positions of the rows that train, stop and calibrate; no row does two of these."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    calibration: npt.NDArray[np.int64]


class Seeds(NamedTuple):
    """Independent seeds drawn from one `random_state`."""

    split: int
    weights: int
    batches: int

    @classmethod
    def draw(cls, random_state: int | None) -> Seeds:
        """Three seeds; the same three for the same integer."""
        sequence = np.random.SeedSequence(random_state, spawn_key=(STREAM,))
        state = sequence.generate_state(3, np.uint64)
        return cls(*(int(seed) >> 1 for seed in state))


def fit_rows(
    detector: ReconstructionDetector,
    schema: Schema,
    rows: Rows,
    checkpoint_dir: str | Path | None,
    callbacks: Sequence[Callback],
) -> None:
    """Fit a detector to checked rows: split, encode, train, calibrate; set its fitted attributes.

    The calibration rows reach nothing that is fitted: not levels, medians, scales or weights, only
    the threshold, and the watch for collapse, which changes no weight. So their scores are
    exchangeable with those of new normal rows. The schema alone is read from all rows: which
    columns there are, their kinds, and which may be missing. That keeps the promise, since it
    treats all rows alike: a new row with a hole where no fitted row had one is refused, and any
    other would have left the schema as it is.
    """
    if checkpoint_dir is not None and detector.random_state is None:
        raise InvalidInput("a fit that can be resumed needs a seed; give random_state an integer")
    seeds = Seeds.draw(detector.random_state)
    split = split_rows(len(rows), detector, seeds.split)
    detector.schema_ = schema
    detector.encoder_ = TableEncoder(schema, detector.scaling_).fit(rows.take(split.train))
    if not detector.encoder_.width:
        raise InvalidInput(
            "no column carries anything to learn from: dates that cover no whole day, week or year "
            "have no cycle; add a column of numbers or categories"
        )
    silent = _unrepeated_text(detector.encoder_)
    detector.notes_ = silent + _train(detector, rows, split, seeds, checkpoint_dir, callbacks)
    _calibrate(detector, rows, split)
    detector.rows_ = {name: len(index) for name, index in split._asdict().items()}
    detector.versions_ = {name: version(name) for name in LIBRARIES}
    detector.versions_["python"] = platform.python_version()
    detector.threads_ = torch.get_num_threads()
    detector.reading_ = {}


def split_rows(n: int, detector: ReconstructionDetector, seed: int) -> Split:
    """Deal n rows out at random: calibration first, then validation, the rest trains."""
    order = np.random.default_rng(seed).permutation(n)
    held = 0 if detector.contamination else calibration_size(n, detector.false_alarm_rate)
    rest = n - held
    stops = min(max(1, round(detector.validation_fraction * rest)), rest - 1)
    stopping = stops if detector.early_stopping else 0
    return Split(order[held + stopping :], order[held : held + stopping], order[:held])


def _train(
    detector: ReconstructionDetector,
    rows: Rows,
    split: Split,
    seeds: Seeds,
    checkpoint_dir: str | Path | None,
    callbacks: Sequence[Callback],
) -> list[str]:
    """Train; returns what has to be noted about it."""
    fabric = _start_fabric(detector)
    data, validation, watched = (
        torch.from_numpy(detector.encoder_.transform(rows.take(index))).to(fabric.device)
        for index in (split.train, split.validation, split.calibration[:MOST_WATCHED])
    )
    if len(data) == 1:
        data = data.repeat(2, 1)  # batch norm needs two rows
    networks = initial_networks(detector, seeds.weights)
    step = detector._training_step(fabric, networks)
    if detector.verbose:
        callbacks = [ProgressBar(type(detector).__name__), *callbacks]
    watch = CollapseWatch(
        networks,
        watched if len(watched) else data[:MOST_WATCHED],
        detector._score_batch,
        steps=detector.max_steps,
        which="held-out" if len(watched) else "training",
    )
    budget = Budget(
        steps=detector.max_steps,
        batch_size=detector.batch_size,
        learning_rate=detector.learning_rate,
        schedule=detector.schedule,
        patience=detector.patience if detector.early_stopping else None,
    )
    fingerprint = _fingerprint(detector, networks, data, validation) if checkpoint_dir else ""
    n_parameters = sum(weight.numel() for weight in networks.parameters())
    with (
        threads_for_step(n_parameters, min(len(data), budget.batch_size)),
        _generator(detector, seeds.batches) as generator,
    ):
        loop = Loop(
            step,
            data,
            budget,
            generator=generator,
            validation=validation if len(validation) else None,
            watch=watch,
            callbacks=callbacks,
            checkpoint_dir=None if checkpoint_dir is None else Path(checkpoint_dir),
            fingerprint=fingerprint,
        )
        detector.history_ = loop.run()
    detector.networks_ = networks.eval().requires_grad_(False)
    watch.conclude(loop.done)
    return [*watch.notes, *_idle_training(detector.history_)]


def _unrepeated_text(encoder: TableEncoder) -> list[str]:
    """Warn, and note, where text never repeats in the training rows: nothing is learned from it."""
    names = encoder.unrepeated
    if not names:
        return []
    if len(names) == len(encoder.schema.columns):
        raise InvalidInput(f"the text of {listed(names)} never repeats: there is nothing to learn")
    note = f"the text of {listed(names)} never repeats in training: nothing is learned from it"
    warnings.warn(note, TrainingWarning, stacklevel=2)
    return [note]


def _idle_training(history: list[Record]) -> list[str]:
    """Warn, and note, where training went on for a while and lowered nothing."""
    first, last = history[0]["loss"], history[-1]["loss"]
    if history[-1]["step"] < FEWEST_STEPS or last < first or last == 0:
        return []
    note = (
        f"training did not lower the loss ({first:.4g} in the first epoch, {last:.4g} in the "
        "last); scores are hardly better than an untrained network's: change learning_rate"
    )
    warnings.warn(note, TrainingWarning, stacklevel=2)
    return [note]


@contextmanager
def _generator(detector: ReconstructionDetector, seed: int) -> Iterator[torch.Generator]:
    """What shuffles the rows. A user's own networks may draw too, for dropout say.

    They draw from the global state, which is therefore seeded for the time of the training, used
    for both, written to checkpoints, and put back.
    """
    if detector.networks is None:
        yield torch.Generator().manual_seed(seed)
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield torch.default_generator


def initial_networks(detector: ReconstructionDetector, seed: int) -> AutoencoderPair:
    """The networks before training, copies where they are the user's own."""
    generator = torch.Generator().manual_seed(seed)
    encoder, decoder = detector._build_networks(detector.encoder_.width, generator)
    varying = torch.from_numpy(detector.encoder_.varying)
    if not varying.any():
        varying = torch.ones_like(varying)
    return AutoencoderPair(copy.deepcopy(encoder), copy.deepcopy(decoder), varying)


def _start_fabric(detector: ReconstructionDetector) -> Fabric:
    from lightning_fabric import Fabric

    device = resolve_device(detector.device)
    devices = [device.index] if device.type != "cpu" and device.index is not None else 1
    return Fabric(accelerator=device.type, devices=devices, precision=detector.precision)


def _calibrate(detector: ReconstructionDetector, rows: Rows, split: Split) -> None:
    if detector.contamination:
        scores = detector._score_rows(rows)
        detector._set_calibration(Calibration.contaminated(scores, detector.contamination))
    else:
        scores = detector._score_rows(rows.take(split.calibration))
        detector._set_calibration(Calibration.held_out(scores, detector.false_alarm_rate))


def _fingerprint(
    detector: ReconstructionDetector, networks: AutoencoderPair, data: Tensor, validation: Tensor
) -> str:
    """What a checkpoint must agree with: data, first weights, parameters, versions, threads."""
    parameters: dict[str, Any] = detector.get_params(deep=False)
    for name in ("verbose", "false_alarm_rate", "networks", "types", "device"):
        parameters.pop(name)
    facts = {
        **parameters,
        "detector": type(detector).__name__,
        "networks": repr(networks),
        "device": data.device.type,
        "versions": [version("lampblack"), torch.__version__],
        "threads": torch.get_num_threads(),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for tensor in (data, validation, *networks.state_dict().values()):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
