"""One fit: from checked samples to a calibrated model."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lampblack.calibration import Calibration
from lampblack.data.kind import AnyKind, Encoder, Positions, Samples, Schema, Split
from lampblack.data.kinds import kind_of
from lampblack.exceptions import InvalidInput
from lampblack.fitting import notes
from lampblack.fitting.collapse import CollapseWatch
from lampblack.fitting.seeds import Seeds
from lampblack.fitting.split import MOST_REFERENCE, split_samples
from lampblack.fitting.train import (
    MOST_KNOWN_VALUES,
    MOST_WATCHED,
    MOST_WATCHED_VALUES,
    Training,
    batches_of,
    some_encoded,
)
from lampblack.model.blocks import Blocks
from lampblack.model.folder import build
from lampblack.model.model import Facts, Model, with_shortfall
from lampblack.model.parameters import Parameters, filled_in, given
from lampblack.model.recipe import AnyRecipe
from lampblack.scores import Score
from lampblack.training.callbacks import Callback
from lampblack.training.loop import Loop
from lampblack.training.progress import counted
from lampblack.training.single_process import Runner

LIBRARIES = ("lampblack", "torch", "numpy", "scikit-learn", "pyarrow")


def fit_model(
    recipe: AnyRecipe,
    parameters: Parameters,
    schema: Schema,
    samples: Samples,
    *,
    detector: str,
    runner: Runner,
    y: object = None,
    checkpoint_dir: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> Model:
    """Split, encode, train, learn what is usual, calibrate.

    recipe: what networks, training and score are. parameters: as they were given, checked. schema,
    samples: those that are fitted, checked. detector: what the model is called. runner: what
    trains; where it joins several processes, each of them fits, to the same samples: they split and
    calibrate alike. y: labels of known anomalies, where the parameters ask for some; they reach the
    training step and nothing else.

    The calibration samples reach nothing that is fitted: not levels, medians, scales or weights,
    only the threshold, and the watch for collapse, which changes no weight. So their scores are
    exchangeable with those of new normal samples. The schema alone is learned from all samples:
    which columns there are, their kinds, and which may be missing. That keeps the promise, since it
    treats all rows alike: a new row with a hole where no fitted row had one is refused, and any
    other would have left the schema as it is. Known anomalies are among them: a hole that only they
    have makes a column one that may be missing.
    """
    kind = kind_of(schema)
    resolved, left_out = resolve(parameters, kind, schema)
    if checkpoint_dir is not None and resolved.random_state is None:
        raise InvalidInput("a fit that can be resumed needs a seed; give random_state an integer")
    seeds = Seeds.draw(resolved.random_state)
    anomalies, samples = _apart(samples, resolved.known_anomalies(y, len(samples)))
    held, part, streamed = _dealt(kind, samples, resolved, recipe.score(resolved), seeds.split)
    encoder: Encoder = kind.encoder(schema, resolved).fit(held.take(part.train))
    noted = notes.nothing_learned(encoder, schema.n_features)
    networks, score = build(recipe, resolved, encoder, seeds.weights)
    for module in (networks, score, encoder.frozen):
        if module is not None:
            module.to(runner.device)
    blocks = Blocks(networks, encoder, kind.block_size(encoder.shape))
    # Several samples for batch norm.
    train = part.train if len(part.train) > 1 else part.train.repeat(2)
    training = Training(
        detector=detector,
        recipe=recipe,
        parameters=resolved,
        blocks=blocks,
        data=batches_of(streamed or held.take(train), encoder, runner.device),
        validation=batches_of(held.take(part.validation), encoder, runner.device),
        known=_known(blocks, anomalies, seeds.step),
        watch=_watch(blocks, score, held, part, given(resolved.max_steps)),
        encode=lambda X: blocks.all_encoded(kind.check(X, schema, detector), 4 * blocks.size),
    )
    loop = training.run(runner, seeds, checkpoint_dir, callbacks)
    _learn_score(score, blocks, held, part)
    training.watch.conclude(loop.done)
    noted += _noted(training, loop, anomalies, held.take(part.calibration))
    calibration = _calibrated(kind, score, blocks, held, part, resolved)
    rows = {name: len(index) for name, index in part._asdict().items()}
    rows["train"] = len(part.train if streamed is None else streamed)
    if anomalies is not None:
        rows["anomalies"] = len(anomalies)
    facts = Facts(
        rows=rows,
        history=loop.history,
        notes=with_shortfall(noted, calibration),
        versions=dict(_versions()),
        threads=torch.get_num_threads(),
    )
    return Model(detector, resolved, left_out, schema, encoder, networks, score, calibration, facts)


def resolve(
    parameters: Parameters, kind: AnyKind, schema: Schema
) -> tuple[Parameters, tuple[str, ...]]:
    """The parameters with the defaults for this kind of data filled in, and the names of those.

    Raises InvalidInput for a parameter that has no meaning for it.
    """
    parameters.for_kind(kind.name, kind.described)
    defaults = filled_in(parameters, kind.name)
    if "batch_size" in defaults:
        defaults["batch_size"] = kind.fitting_batch(schema, defaults["batch_size"])
    return parameters.replaced(**defaults), tuple(defaults)


def _apart(
    samples: Samples, anomalous: npt.NDArray[np.bool_] | None
) -> tuple[Samples | None, Samples]:
    """Known anomalies, where there are any, and the other samples."""
    if anomalous is None or not anomalous.any():
        return None, samples
    return samples.take(np.flatnonzero(anomalous)), samples.take(np.flatnonzero(~anomalous))


def _dealt(
    kind: AnyKind, samples: Samples, parameters: Parameters, score: Score, seed: int
) -> tuple[Samples, Split, Samples | None]:
    """What of the samples is held in memory, its split, and what training reads instead, if so."""
    units = kind.units(samples)
    split = split_samples(len(samples), parameters, score, seed, stored=samples.stored, units=units)
    silent = not (parameters.verbose and samples.to_decode)
    with counted("read", samples.to_decode, kind.noun, silent) as advance:
        seen = given(parameters.max_steps) * given(parameters.batch_size)
        return samples.drawn(split, seen=seen, least=score.memory, advance=advance)


def _known(blocks: Blocks, anomalies: Samples | None, seed: int) -> torch.Tensor | None:
    """Known anomalies, encoded: as many, drawn at random, as memory is set aside for."""
    if anomalies is None:
        return None
    order = np.random.default_rng(seed).permutation(len(anomalies))
    return some_encoded(blocks, anomalies.take(order), MOST_KNOWN_VALUES)


def _watch(blocks: Blocks, score: Score, held: Samples, part: Split, steps: int) -> CollapseWatch:
    """The watch on some held-out samples, or on training samples where none is held out."""
    held_out = len(part.calibration) > 0
    watched = (part.calibration if held_out else part.train)[:MOST_WATCHED]
    rows = some_encoded(blocks, held.take(watched), MOST_WATCHED_VALUES)
    which = "held-out" if held_out else "training"
    return CollapseWatch(blocks.networks, rows, score.watched, steps=steps, which=which)


def _noted(
    training: Training, loop: Loop, anomalies: Samples | None, held_out: Samples
) -> list[str]:
    """What has to be noted after training."""
    known = training.known
    missed = 0 if anomalies is None or known is None else len(anomalies) - len(known)
    return [
        *training.watch.notes,
        *notes.left_out(missed),
        *notes.repeated(training.blocks.encoder, held_out, training.data),
        *notes.idle_training(loop.history, loop.step.falling),
    ]


def _learn_score(score: Score, blocks: Blocks, samples: Samples, split: Split) -> None:
    """Let the score remember samples and learn what is usual from others.

    Then it remembers those too, and those that calibrate, if it has room for all: see
    `Score.of_remembered`.
    """

    def remember(positions: Positions) -> None:
        chunks = samples.take(positions).chunks(blocks.size)
        score.remember(blocks.networks, (blocks.encoded(chunk) for chunk in chunks))

    if score.memory:
        remember(split.train[: score.memory])
    reference = split.validation if len(split.validation) else split.train[:MOST_WATCHED]
    score.fit(blocks.networks, blocks.passed(samples.take(reference[:MOST_REFERENCE])))
    if score.of_training_only:
        return
    if _remembers_all(score, split):
        remember(np.concatenate(split))
    elif score.memory > len(split.train):
        remember(np.concatenate([split.train, split.validation])[: score.memory])


def _remembers_all(score: Score, split: Split) -> bool:
    """Whether the score remembers every sample, those that calibrate among them."""
    return not score.of_training_only and score.memory >= sum(len(positions) for positions in split)


def _calibrated(
    kind: AnyKind,
    score: Score,
    blocks: Blocks,
    samples: Samples,
    split: Split,
    parameters: Parameters,
) -> Calibration:
    """The threshold, from samples that nothing above has seen; or from all, by contamination.

    Samples that have no score calibrate nothing.
    """
    share = parameters.contamination
    held = samples if share else samples.take(split.calibration)
    if not share and _remembers_all(score, split):
        score = score.of_remembered()
    scores = blocks.all_scores(
        held, score, reentrant=parameters.networks is None, unscored=kind.unscored(held)
    )
    scores = scores[~np.isnan(scores)]
    if share:
        return Calibration.contaminated(scores, share)
    return Calibration.held_out(scores, parameters.false_alarm_rate)


@cache
def _versions() -> dict[str, str]:
    """What is installed here; looking it up takes as long as ten small steps."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}
