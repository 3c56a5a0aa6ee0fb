"""Everything that is looked at of one fitted detector, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np

from lampblack.data.kind import Samples
from lampblack.diagnostics.checks import CHECKS, FAR, Check, extrapolates, looked_at
from lampblack.diagnostics.chosen import checked, encoded, some
from lampblack.diagnostics.codes import DecoderSpectrum, decoder_spectrum
from lampblack.diagnostics.curvature import Sharpness
from lampblack.diagnostics.landscape import Landscape, loss_landscape, sharpness
from lampblack.diagnostics.mirror import Mirror, critic_distances, has_critic
from lampblack.diagnostics.rays import Extrapolation, along_rays
from lampblack.diagnostics.time_limit import TimeLimit
from lampblack.exceptions import LampblackError
from lampblack.explanation import Values
from lampblack.losses import latent_norm, reconstruction_error
from lampblack.model.model import Model
from lampblack.number_text import percent

SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST = 2000  # samples of each kind whose codes and errors are kept
PARTS = 4  # that `diagnose` tells of
Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found of a detector, given normal samples and, for figures alone, anomalies.

    norms, errors: ‖z‖₂ and plain reconstruction errors by group, "normal" and "anomalies" (n,).
    mirror: None without a critic. left_out: why a part is not there, by its name: its field is then
    None or empty.
    """

    detector: str
    looked_at: dict[str, int]
    seed: int
    checks: list[Check]
    notes: list[str]
    landscape: Landscape | None
    sharpness: dict[str, Sharpness]
    spectrum: DecoderSpectrum | None
    norms: dict[str, Values]
    errors: dict[str, Values]
    mirror: Mirror | None
    extrapolation: Extrapolation | None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def notices(self) -> list[Check]:
        """The checks that failed: why not to trust the model."""
        return [check for check in self.checks if check.passed is False]

    def to_json(self) -> dict[str, Any]:
        """All numbers, as JSON has them."""
        landscape, spectrum = self.landscape, self.spectrum
        mirror, rays = self.mirror, self.extrapolation
        return {
            "detector": self.detector,
            "looked_at": self.looked_at,
            "seed": self.seed,
            "checks": [asdict(check) for check in self.checks],
            "notes_from_fitting": self.notes,
            "sharpness": {name: asdict(found) for name, found in self.sharpness.items()},
            "landscape": None
            if landscape is None
            else {
                "steps": landscape.steps.tolist(),
                "lines": _lists(landscape.lines),
                "plane": _lists(landscape.plane),
            },
            "decoder": None
            if spectrum is None
            else {
                "effective_rank": spectrum.effective_rank,
                "singular_values": spectrum.singular_values.mean(axis=0).tolist(),
            },
            "code_norm": _quantiles(self.norms),
            "reconstruction_error": _quantiles(self.errors),
            "critic": None
            if mirror is None
            else {
                "band": list(mirror.band),
                "distance": _quantiles(mirror.distances),
                "outside": {name: list(shares) for name, shares in mirror.outside.items()},
            },
            "extrapolation": None
            if rays is None
            else {
                "positions": list(rays.positions),
                "share_above": rays.share_above.tolist(),
                "left": rays.left,
                "stays": rays.stays,
                "bound": rays.bound,
            },
            "left_out": self.left_out,
        }


def diagnose(
    detector: Model,
    X: object,
    *,
    anomalies: object = None,
    leave_out: Collection[str] = (),
    seconds: float | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> Diagnosis:
    """Look at a fitted detector on normal samples X: checks, landscape, codes, critic, rays.

    X: as `anomaly_score` takes them, best ones that were not fitted. anomalies: known ones, which
    are drawn beside the normal ones and reach no check. leave_out: names of checks not to make.
    seconds: after the checks, from which on parts that are not done are left out; landscape and
    sharpness come last. Samples are drawn with the seed where there are more than a part looks at.
    advance: told of every part that is done, of `PARTS`. A part that cannot be made is left out,
    with the reason.

    >>> import numpy as np
    >>> from lampblack import TollDetector
    >>> from lampblack.diagnostics import diagnose
    >>> normal = np.random.default_rng(0).normal(size=(900, 4))
    >>> detector = TollDetector(max_steps=100, hidden=(32,), random_state=0).fit(normal[:600])
    >>> found = diagnose(detector, normal[600:])
    >>> [notice.name for notice in found.notices], found.extrapolation.stays
    ([], 1.0)
    """
    left_out: dict[str, str] = {}

    def tried(name: str, make: Callable[[], Part]) -> Part | None:
        try:
            return make()
        except (LampblackError, RuntimeError, MemoryError) as error:  # a user's own network, too
            left_out[name] = (str(error).splitlines() or [type(error).__name__])[0]
            return None

    given = looked_at(detector, X, seed)
    samples, model = given.samples, given.detector
    groups: dict[str, Samples] = {"normal": samples}
    if anomalies is not None:
        known = checked(model, anomalies)
        groups["anomalies"] = known.take(some(len(known), MOST, seed))
    wanted = [name for name in CHECKS if name not in (*leave_out, FAR)]
    found = [Check(name, *CHECKS[name](given)) for name in wanted]
    limit = TimeLimit(seconds)
    rays = tried("rays", lambda: along_rays(model, samples, seed=seed, limit=limit))
    if FAR not in leave_out:
        far = (None, left_out["rays"], {}) if rays is None else extrapolates(given, rays)
        found.append(Check(FAR, *far))
    advance(1)
    norms, errors = {}, {}
    for name, some_samples in groups.items():
        norms[name], errors[name] = _norms_and_errors(model, some_samples, seed)
    mirror = None
    if has_critic(model):
        mirror = tried("critic", lambda: critic_distances(model, groups, seed=seed))
    spectrum = tried("decoder", lambda: decoder_spectrum(model, samples, seed=seed, limit=limit))
    advance(1)
    landscape = tried("landscape", lambda: loss_landscape(model, samples, seed=seed, limit=limit))
    advance(1)
    steep = tried("sharpness", lambda: sharpness(model, samples, seed=seed, limit=limit))
    advance(1)
    return Diagnosis(
        detector=model.detector,
        looked_at={name: len(samples) for name, samples in groups.items()},
        seed=seed,
        checks=found,
        notes=list(model.facts.notes),
        landscape=landscape,
        sharpness=steep or {},
        spectrum=spectrum,
        norms=norms,
        errors=errors,
        mirror=mirror,
        extrapolation=rays,
        left_out=left_out,
    )


def _norms_and_errors(detector: Model, samples: Samples, seed: int) -> tuple[Values, Values]:
    import torch

    x = encoded(detector, samples, MOST, seed=seed)
    norms, errors = [], []
    with torch.no_grad():
        for some_x in torch.split(x, detector.at_once):
            z, reconstruction = detector.networks(some_x)
            norms.append(latent_norm(z))
            error = detector.parameters.reconstruction_error
            errors.append(reconstruction_error(some_x, reconstruction, error))
    return (
        torch.cat(norms).cpu().double().numpy(),
        torch.cat(errors).cpu().double().numpy(),
    )


def _quantiles(groups: dict[str, Values]) -> dict[str, dict[str, float]]:
    return {
        name: {
            percent(level, 0): float(value)
            for level, value in zip(SHOWN, np.quantile(values, SHOWN), strict=True)
        }
        for name, values in groups.items()
    }


def _lists(values: dict[str, Values]) -> dict[str, Any]:
    """Arrays as lists, None where a loss far from the trained weights is not finite."""
    return {
        name: [[value if np.isfinite(value) else None for value in line] for line in array.tolist()]
        for name, array in values.items()
    }
