"""One fit, from checked samples to a calibrated detector."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lampblack.calibration import Calibration, calibration_size
from lampblack.data.blocks import block_size
from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.images.schema import ImageSchema
from lampblack.data.images.stored import IN_MEMORY, FileImages, FileReader
from lampblack.data.samples import AnySchema, CheckedSamples, Encoder
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.schema import Rows, listed
from lampblack.data.tables.stored import RowReader, StoredRows
from lampblack.exceptions import InvalidInput, TrainingWarning
from lampblack.fitting.collapse import FEWEST_STEPS, CollapseWatch
from lampblack.model.blocks import passed_blocks
from lampblack.model.device import resolve_device
from lampblack.model.recipe import initial_networks
from lampblack.networks import AutoencoderPair
from lampblack.scores import Score
from lampblack.training.alone import Alone
from lampblack.training.batches import Samples, StreamedSamples, TensorSamples
from lampblack.training.callbacks import Callback, ProgressBar, Record
from lampblack.training.loop import Loop
from lampblack.training.processes import World, joined, met, threads_of_each
from lampblack.training.progress import counted
from lampblack.training.ranks import Ranks
from lampblack.training.schedule import Budget
from lampblack.training.threads import threads_for_step

if TYPE_CHECKING:
    from lampblack.detectors.base import ReconstructionDetector
    from lampblack.training.alone import Runner

LIBRARIES = ("lampblack", "torch", "numpy", "scikit-learn", "pyarrow")
CHECKPOINT = 2  # the layout of the optimiser's state
MOST_ENCODED = 200_000  # rows of a file on which the encoder is fitted, where training sees fewer
MOST_WATCHED = 1024  # samples, and
MOST_REFERENCE = 10_000  # samples from which a score learns what is usual
MOST_WATCHED_VALUES = 1 << 22  # their values together
MOST_REPEATED = 0.05  # of some samples that may equal others, or fitted ones, unmentioned
REPEATED = "calibration samples equal a training sample"  # by which the note is known
MOST_SUMMED = 64  # values of a sample by which its likely copies are found
MOST_KNOWN_VALUES = 1 << 28  # values of known anomalies that train, 1 GiB
# One of many streams of seeds. scikit-learn's check_outliers_train wants at least one alarm among
# 300 rows that were fitted with random_state=0; 99 of them calibrate 1 %, and where the outermost
# row is one of those, there is none. In this stream it trains; no promise depends on the choice.
STREAM = 12


class Split(NamedTuple):
    """Positions of the samples that train, stop and calibrate; none does two of these."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    calibration: npt.NDArray[np.int64]


class Seeds(NamedTuple):
    """Independent seeds drawn from one `random_state`."""

    split: int
    weights: int
    batches: int
    step: int

    @classmethod
    def draw(cls, random_state: int | None) -> Seeds:
        """Seeds, the same ones for the same integer."""
        sequence = np.random.SeedSequence(random_state, spawn_key=(STREAM,))
        state = sequence.generate_state(len(cls._fields), np.uint64)
        return cls(*(int(seed) >> 1 for seed in state))


def fit_samples(
    detector: ReconstructionDetector,
    schema: AnySchema,
    samples: CheckedSamples,
    anomalous: npt.NDArray[np.bool_] | None,
    checkpoint_dir: str | Path | None,
    callbacks: Sequence[Callback],
    world: World | None = None,
) -> None:
    """Fit a detector to checked rows or images: split, encode, train, calibrate.

    world: the processes to train in, None for this one alone. Where torchrun or other machines have
    part in it, each of their processes fits, to the same samples: they split and calibrate alike.
    Sets its fitted attributes. anomalous: which samples (n,) are known anomalies; they reach the
    training step and nothing else. The calibration rows reach nothing that is fitted: not levels,
    medians, scales or weights, only the threshold, and the watch for collapse, which changes no
    weight. So their scores are exchangeable with those of new normal rows. The schema alone is read
    from all rows: which columns there are, their kinds, and which may be missing. That keeps the
    promise, since it treats all rows alike: a new row with a hole where no fitted row had one is
    refused, and any other would have left the schema as it is. Known anomalies are among them: a
    hole that only they have makes a column one that may be missing.
    """
    if checkpoint_dir is not None and detector.random_state is None:
        raise InvalidInput("a fit that can be resumed needs a seed; give random_state an integer")
    first = world is None or world.rank == 0
    several_fit = world is not None and (world.started or world.num_nodes > 1)
    if several_fit and detector.random_state is None:
        raise InvalidInput("processes that fit alike need a seed; give random_state an integer")
    seeds = Seeds.draw(detector.random_state)
    anomalies = None
    if anomalous is not None and anomalous.any():
        anomalies = samples.take(np.flatnonzero(anomalous))
        samples = samples.take(np.flatnonzero(~anomalous))
    in_file = isinstance(samples, StoredRows)
    split = split_rows(len(samples), detector, seeds.split, stored=in_file)
    stored: StoredRows | None = None
    if isinstance(samples, StoredRows):
        samples, split, stored = _drawn(detector, samples, split)
    if isinstance(samples, FileImages) and samples.n_bytes <= IN_MEMORY:
        with counted("read", len(samples), "images", not (detector.verbose and first)) as advance:
            samples = samples.in_memory(advance)
    detector.schema_ = schema
    detector.encoder_ = _fitted_encoder(detector, schema, samples, split.train)
    silent = _unrepeated_text(detector.encoder_)
    trained = _train(
        detector, samples, stored, anomalies, split, seeds, checkpoint_dir, callbacks, world
    )
    detector.notes_ = silent + trained
    _calibrate(detector, samples, split)
    detector.rows_ = {name: len(index) for name, index in split._asdict().items()}
    if stored is not None:
        detector.rows_["train"] = len(stored)
    if anomalies is not None:
        detector.rows_["anomalies"] = len(anomalies)
    detector.versions_ = dict(_versions())
    detector.threads_ = torch.get_num_threads()
    detector.reading_ = {}


@cache
def _versions() -> dict[str, str]:
    """What is installed here; looking it up takes as long as ten small steps."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def split_rows(
    n: int, detector: ReconstructionDetector, seed: int, *, stored: bool = False
) -> Split:
    """Deal n rows out at random: calibration first, then validation, the rest trains.

    stored: they stay in a file, and no more than 10,000 of them validate.
    """
    order = np.random.default_rng(seed).permutation(n)
    held = 0 if detector.contamination else calibration_size(n, detector.false_alarm_rate)
    rest = n - held
    stops = min(max(1, round(detector.validation_fraction * rest)), rest - 1)
    if not detector.early_stopping:
        reference = MOST_REFERENCE if detector._build_score().needs_reference else 0
        stops = min(stops, reference)
    if stored:
        stops = min(stops, MOST_REFERENCE)
    return Split(order[held + stops :], order[held : held + stops], order[:held])


def _drawn(
    detector: ReconstructionDetector, rows: StoredRows, split: Split
) -> tuple[Rows, Split, StoredRows | None]:
    """What of a file has to be in memory, the split of that, and what training reads as it goes.

    A training of so many steps sees no more rows than steps · batch_size. Where those fit into
    `StoredRows.window`, that many, or 200,000 if that is more, are drawn at random from the rows
    that may train, in one reading of the file, and the fit is that of a table of them. Otherwise
    training reads batches from the file, and 200,000 of its rows are what the encoder is fitted on
    and a score remembers. Where all rows fit, the fit has the bits of one in memory.
    """
    fitted = detector.parameters_
    seen = fitted["max_steps"] * fitted["batch_size"]
    held = len(split.calibration) + len(split.validation)
    room = max(1, rows.window - held)
    beyond = min(seen, len(split.train)) > room
    least = max(MOST_ENCODED, detector._build_score().memory)
    train = split.train[: min(least if beyond else max(seen, least), room)]
    kept = np.sort(np.concatenate([train, split.validation, split.calibration]))
    part = Split(*(np.searchsorted(kept, index) for index in (train, *split[1:])))
    return rows.take(kept).in_memory(), part, rows.take(split.train) if beyond else None


def _fitted_encoder(
    detector: ReconstructionDetector,
    schema: AnySchema,
    samples: CheckedSamples,
    train: npt.NDArray[np.int64],
) -> Encoder:
    if isinstance(schema, ImageSchema):
        return ImageEncoder(schema)
    assert isinstance(samples, Rows)
    encoder = TableEncoder(schema, detector.scaling_).fit(samples.take(train))
    if not encoder.width:
        raise InvalidInput(
            "no column carries anything to learn from: dates that cover no whole day, week or year "
            "have no cycle; add a column of numbers or categories"
        )
    return encoder


def _training_samples(
    detector: ReconstructionDetector, samples: CheckedSamples, device: torch.device
) -> Samples:
    """Samples as the loop takes them: encoded on the device, or read from files as it goes."""
    if isinstance(samples, FileImages):
        return StreamedSamples(FileReader(samples), device)
    if isinstance(samples, StoredRows):
        assert isinstance(detector.encoder_, TableEncoder)
        return StreamedSamples(RowReader(samples, detector.encoder_), device)
    if isinstance(samples, Rows):
        assert isinstance(detector.encoder_, TableEncoder)
        encoded = detector.encoder_.transform(samples)
    elif samples.values.dtype == np.uint8:
        encoded = np.ascontiguousarray(samples.values)  # a quarter of the memory
    else:
        assert isinstance(detector.encoder_, ImageEncoder)
        encoded = detector.encoder_.transform(samples)
    return TensorSamples(torch.from_numpy(encoded).to(device))


def _train(
    detector: ReconstructionDetector,
    samples: CheckedSamples,
    stored: StoredRows | None,
    anomalies: CheckedSamples | None,
    split: Split,
    seeds: Seeds,
    checkpoint_dir: str | Path | None,
    callbacks: Sequence[Callback],
    world: World | None,
) -> list[str]:
    """Train, on `stored` rows where there are any; returns what has to be noted about it."""
    device = process_device(detector.device, world)
    fitted = detector.parameters_
    train = split.train if len(split.train) > 1 else split.train.repeat(2)  # for batch norm
    data, validation = (
        _training_samples(detector, some, device)
        for some in (stored or samples.take(train), samples.take(split.validation))
    )
    watched = _watched(detector, samples, split, device)
    known = None
    if anomalies is not None:
        order = np.random.default_rng(seeds.step).permutation(len(anomalies))
        known = _some_encoded(detector, anomalies.take(order), device, MOST_KNOWN_VALUES)
    networks = initial_networks(detector._method, fitted, detector.encoder_, seeds.weights)
    if detector.verbose:
        callbacks = [ProgressBar(type(detector).__name__), *callbacks]
    watch = CollapseWatch(
        networks,
        watched,
        detector._build_score().watched,
        steps=fitted["max_steps"],
        which="held-out" if len(split.calibration) else "training",
    )
    for callback in callbacks:
        callback.on_networks(networks, partial(detector._encoded, device=device))
    budget = Budget(
        steps=fitted["max_steps"],
        batch_size=fitted["batch_size"],
        learning_rate=fitted["learning_rate"],
        schedule=fitted["schedule"],
        patience=fitted["patience"] if fitted["early_stopping"] else None,
    )
    read = [data, validation] if known is None else [data, validation, TensorSamples(known)]
    fingerprint = ""
    if checkpoint_dir is not None or world is not None:
        fingerprint = _fingerprint(detector, networks, read, world)
    operations = _operations(networks, detector.encoder_) * min(len(data), budget.batch_size)
    task = Task(
        detector,
        networks,
        data,
        known,
        seeds,
        budget,
        operations,
        fingerprint,
        None if checkpoint_dir is None else Path(checkpoint_dir),
    )
    with joined(world, assist, task, backend=_backend(device)) as joined_world:
        loop = task.run(
            joined_world,
            validation=validation if fitted["early_stopping"] else None,
            watch=watch,
            callbacks=callbacks if world is None or world.rank == 0 else (),
            validation_block=4 * block_size(detector.encoder_.shape),
        )
    detector.history_ = loop.history
    networks.eval()
    loop.step.finish()
    detector.networks_ = networks.requires_grad_(False)
    _fit_score(detector, samples, split)
    watch.conclude(loop.done)
    left_out = 0 if anomalies is None or known is None else len(anomalies) - len(known)
    return [
        *watch.notes,
        *_left_out(left_out),
        *_repeated(detector, samples, split, data),
        *_idle_training(detector.history_, loop.step.falling),
    ]


@dataclass(frozen=True)
class Task:
    """What every process of a training is told; `run` does it."""

    detector: ReconstructionDetector
    networks: AutoencoderPair
    data: Samples
    known: Tensor | None
    seeds: Seeds
    budget: Budget
    operations: float  # of a step
    fingerprint: str
    checkpoint_dir: Path | None

    def run(self, world: World | None, **of_the_first: Any) -> Loop:
        """Train the networks, as one process of `world`.

        of_the_first: what the loop of the first process has besides; see `Loop`.
        """
        fabric = _start_fabric(self.detector, world)
        ranks = Ranks.of(fabric)
        step = self.detector._training_step(fabric, self.networks, self.known, self.seeds.step)
        with (
            threads_for_step(self.operations / ranks.size, threads_of_each(world)),
            _generators(self.detector, self.seeds.batches, ranks) as (generator, noise),
        ):
            loop = Loop(
                step,
                self.data,
                self.budget,
                generator=generator,
                checkpoint_dir=self.checkpoint_dir,
                fingerprint=self.fingerprint,
                ranks=ranks,
                noise=noise,
                **of_the_first,
            )
            loop.run()
        return loop


def assist(world: World, task: Task) -> None:
    """Train as one of the processes that a fit has started; the fit itself keeps the outcome."""
    device = process_device(task.detector.device, world)
    with met(world, _backend(device)):
        replace(task, data=task.data.on(device)).run(world)


def _backend(device: torch.device) -> str:
    """How processes with such devices talk."""
    return "gloo" if device.type == "cpu" else "nccl"


def _fit_score(detector: ReconstructionDetector, samples: CheckedSamples, split: Split) -> None:
    """Let the score remember samples and learn what is usual from others.

    Then it remembers those too, and those that calibrate, if it has room for all: see
    `Score.of_remembered`.
    """
    score, networks = detector._build_score(), detector.networks_

    def remember(positions: npt.NDArray[np.int64]) -> None:
        encoder: Any = detector.encoder_
        chunks = samples.take(positions).chunks(block_size(encoder.shape))
        device = networks.varying.device
        score.remember(
            networks, (torch.from_numpy(encoder.transform(chunk)).to(device) for chunk in chunks)
        )

    if score.memory:
        remember(split.train[: score.memory])
    reference = split.validation if len(split.validation) else split.train[:MOST_WATCHED]
    usual = samples.take(reference[:MOST_REFERENCE])
    score.fit(networks, passed_blocks(networks, detector.encoder_, usual))
    if _remembers_all(score, split):
        remember(np.concatenate(split))
    elif score.memory > len(split.train):
        remember(np.concatenate([split.train, split.validation])[: score.memory])


def _remembers_all(score: Score, split: Split) -> bool:
    """Whether the score remembers every sample, those that calibrate among them."""
    return score.memory >= sum(len(positions) for positions in split)


def _watched(
    detector: ReconstructionDetector, samples: CheckedSamples, split: Split, device: torch.device
) -> Tensor:
    """Some held-out samples on the device, or training samples where none is held out."""
    some = split.calibration if len(split.calibration) else split.train
    return _some_encoded(detector, samples.take(some[:MOST_WATCHED]), device, MOST_WATCHED_VALUES)


def _some_encoded(
    detector: ReconstructionDetector, samples: CheckedSamples, device: torch.device, values: int
) -> Tensor:
    """The first samples, as many as hold so many values together, encoded on the device."""
    fitting = max(2, values // math.prod(detector.encoder_.shape))
    few = samples.take(np.arange(min(len(samples), fitting)))
    encoder: Any = detector.encoder_
    chunks = [encoder.transform(chunk) for chunk in few.chunks(MOST_WATCHED)]
    return torch.from_numpy(np.concatenate(chunks)).to(device)


def _operations(networks: AutoencoderPair, encoder: Encoder) -> float:
    """About the floating-point operations of a step for one sample."""
    if len(encoder.shape) > 1:
        return math.inf  # a convolution uses each weight many times: worth every thread
    return 6.0 * sum(weight.numel() for weight in networks.parameters())


def _unrepeated_text(encoder: Encoder) -> list[str]:
    """Warn, and note, where text never repeats in the training rows: nothing is learned from it."""
    if not isinstance(encoder, TableEncoder) or not encoder.unrepeated:
        return []
    names = encoder.unrepeated
    if len(names) == len(encoder.schema.columns):
        raise InvalidInput(f"the text of {listed(names)} never repeats: there is nothing to learn")
    note = f"the text of {listed(names)} never repeats in training: nothing is learned from it"
    warnings.warn(note, TrainingWarning, stacklevel=2)
    return [note]


def _left_out(count: int) -> list[str]:
    """Warn, and note, where there are more known anomalies than memory is set aside for."""
    if not count:
        return []
    note = f"{count} known anomalies, drawn at random, were left out: the others fill 1 GiB"
    warnings.warn(note, TrainingWarning, stacklevel=2)
    return [note]


def _repeated(
    detector: ReconstructionDetector, samples: CheckedSamples, split: Split, data: Samples
) -> list[str]:
    """Note where more than 5 % of the calibration samples equal a training sample, encoded.

    Not of images that are read from files as training goes.
    """
    if not isinstance(data, TensorSamples) or not len(split.calibration):
        return []
    held_out = _training_samples(detector, samples.take(split.calibration), torch.device("cpu"))
    assert isinstance(held_out, TensorSamples)
    held, trained = held_out.values.numpy(), data.values.cpu().numpy()
    wanted = {row.tobytes() for row in held}
    likely = trained[np.isin(_sums(trained), _sums(held))]
    found = wanted & {row.tobytes() for row in likely}
    count = sum(row.tobytes() in found for row in held)
    if count <= MOST_REPEATED * len(held):
        return []
    return [
        f"{count} of {len(held)} {REPEATED}; if they are copies, and not separate observations "
        "that agree, their scores are too low and the promised rate is not kept: remove the "
        "copies and fit again"
    ]


def _sums(values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """A number (n,) for each sample (n, ...), the same for the same bits; of some of its values."""
    bits = values.reshape(len(values), -1).view(f"u{values.itemsize}")  # float32, or images' uint8
    rng = np.random.default_rng(0)
    if bits.shape[1] > MOST_SUMMED:  # not every so many: those may be one column of an image
        bits = bits[:, np.sort(rng.choice(bits.shape[1], MOST_SUMMED, replace=False))]
    factors = rng.integers(2**63, size=bits.shape[1], dtype=np.uint64)
    size = max(1, (1 << 17) // bits.shape[1])  # samples at a time: a product takes 8 bytes a value
    pieces = range(0, len(bits), size)
    return np.concatenate([(bits[i : i + size] * factors).sum(axis=1) for i in pieces])


def _idle_training(history: list[Record], falling: str) -> list[str]:
    """Warn, and note, where training went on for a while and lowered nothing."""
    first, last = history[0][falling], history[-1][falling]
    what = falling if falling == "loss" else f"{falling} error"
    likely = "scores are hardly better than an untrained network's: " if falling == "loss" else ""
    if history[-1]["step"] < FEWEST_STEPS or last < first or last == 0:
        return []
    note = (
        f"training did not lower the {what} ({first:.4g} in the first epoch, {last:.4g} in the "
        f"last); {likely}change learning_rate"
    )
    warnings.warn(note, TrainingWarning, stacklevel=2)
    return [note]


@contextmanager
def _generators(
    detector: ReconstructionDetector, seed: int, ranks: Ranks
) -> Iterator[tuple[torch.Generator, torch.Generator | None]]:
    """What shuffles the rows, and what else is drawn from. A user's own networks may draw.

    For dropout, say. They draw from the global state, which is therefore seeded for the time of the
    training, written to checkpoints, and put back. One process uses it for both. Several shuffle
    alike, and must draw otherwise from one another.
    """
    if detector.networks is None:
        yield torch.Generator().manual_seed(seed), None
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed + ranks.rank)
        if ranks.size == 1:
            yield torch.default_generator, None
        else:
            yield torch.Generator().manual_seed(seed), torch.default_generator


def process_device(name: str, world: World | None) -> torch.device:
    """The device of this process: of several on one machine, each has a GPU of its own."""
    device = resolve_device(name)
    if world is None or device.type == "cpu":
        return device
    if device.type != "cuda" or device.index is not None:
        raise InvalidInput(
            f"device {name!r} is one device, and several processes were asked for; use "
            'device="cuda" or device="cpu"'
        )
    return torch.device("cuda", world.local_rank)


def _start_fabric(detector: ReconstructionDetector, world: World | None) -> Runner:
    device = resolve_device(detector.device)
    if world is None and detector.precision == "32-true":
        return Alone(device)
    from lightning_fabric import Fabric

    if world is None:
        devices = [device.index] if device.type != "cpu" and device.index is not None else 1
        return Fabric(accelerator=device.type, devices=devices, precision=detector.precision)
    from lampblack.training.strategy import AveragedGradients, WorldEnvironment

    fabric = Fabric(
        accelerator=device.type,
        devices=world.devices,
        num_nodes=world.num_nodes,
        strategy=AveragedGradients(cluster_environment=WorldEnvironment(world)),
        precision=detector.precision,
    )
    fabric.launch()
    return fabric


def _calibrate(detector: ReconstructionDetector, samples: CheckedSamples, split: Split) -> None:
    if detector.contamination:
        scores = detector._score_checked(samples)
        detector._set_calibration(Calibration.contaminated(scores, detector.contamination))
    else:
        score = detector._build_score()
        if _remembers_all(score, split):
            score = score.of_remembered()
        scores = detector._score_checked(samples.take(split.calibration), score)
        detector._set_calibration(Calibration.held_out(scores, detector.false_alarm_rate))


def _fingerprint(
    detector: ReconstructionDetector,
    networks: AutoencoderPair,
    read: Sequence[Samples],
    world: World | None,
) -> str:
    """What a checkpoint must agree with: data, first weights, parameters, versions, threads."""
    parameters: dict[str, Any] = dict(detector.parameters_)
    for name in ("verbose", "false_alarm_rate", "networks", "types", "device"):
        parameters.pop(name)
    facts = {
        **parameters,
        "detector": type(detector).__name__,
        "networks": repr(networks),
        "device": read[0].device.type,
        "versions": [version("lampblack"), torch.__version__, CHECKPOINT],
        "threads": torch.get_num_threads(),
        "processes": 1 if world is None else world.size,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for samples in read:
        digest.update(samples.digest().encode())
    for tensor in networks.state_dict().values():
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
