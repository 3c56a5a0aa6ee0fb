"""Which samples train, which validate, and which calibrate."""

from __future__ import annotations

import numpy as np

from lampblack.calibration import calibration_size
from lampblack.data.kind import Positions, Split
from lampblack.model.parameters import Parameters
from lampblack.scores import Score

MOST_REFERENCE = 10_000  # samples from which a score learns what is usual


def split_samples(
    n: int,
    parameters: Parameters,
    score: Score,
    seed: int,
    *,
    stored: bool,
    units: Positions | None = None,
) -> Split:
    """Deal n samples out at random: calibration first, then validation, the rest trains.

    stored: they stay in a file, and no more than 10,000 of them validate. units: the unit (n,) of
    each sample, where samples come in units that are dealt out whole; see `Kind.units`.
    """
    if units is not None:
        names, unit_of = np.unique(units, return_inverse=True)
        dealt = split_samples(len(names), parameters, score, seed, stored=stored)
        return Split(*(np.flatnonzero(np.isin(unit_of, part)) for part in dealt))
    order = np.random.default_rng(seed).permutation(n)
    held = 0 if parameters.contamination else calibration_size(n, parameters.false_alarm_rate)
    rest = n - held
    validating = min(max(1, round(parameters.validation_fraction * rest)), rest - 1)
    if not parameters.early_stopping:
        validating = min(validating, MOST_REFERENCE if score.needs_reference else 0)
    if stored:
        validating = min(validating, MOST_REFERENCE)
    return Split(order[held + validating :], order[held : held + validating], order[:held])
