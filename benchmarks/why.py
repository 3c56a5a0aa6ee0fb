"""Why the methods work, or do not: landscapes, collapse, mirror, extrapolation.

Sets, seeds and budgets were named before the first run. Training is label-free; anomalies, known
only here, are looked at and reach nothing. Budgets are small: 300 steps on tables, 200 steps of a
narrow network on digits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from benchmarks import images, linear_toll, methods
from benchmarks.adversarial import TABLES, table_split
from benchmarks.protocol import Split
from lampblack import (
    AMADetector,
    AutoencoderDetector,
    LampblackDetector,
    LAMPDetector,
    TollDetector,
)
from lampblack.diagnostics import (
    CodeNorms,
    CriticDistances,
    along_rays,
    critic_distances,
    decoder_spectrum,
)
from lampblack.diagnostics.curvature import (
    autoencoder_weights,
    mean_loss,
    sharpness_of,
    transposed_weights,
)
from lampblack.diagnostics.samples import encoded
from lampblack.exceptions import LampblackWarning
from lampblack.losses import Amplification, ReconstructionErrorName

Job = tuple[str, str, int]
Values = npt.NDArray[np.float64]

SEEDS = range(10)
DIGITS = ("mnist 8", "mnist 3")
STEPS = 300
SMALL: dict[str, Any] = {"max_steps": 200, "width": 16, "latent_dim": 32, "batch_size": 64}
LOOKED_AT = {"table": 256, "images": 64}  # training samples on which a loss is measured
SHOWN = 500  # normal test samples, and anomalies, that are followed over training

# How amplified and plain training are paired: the amplification, the error, and what both share.
PAIRS: dict[str, tuple[Amplification, ReconstructionErrorName, dict[str, Any]]] = {
    "tables, log": ("log", "l2", {"max_steps": STEPS, "scaling": "minmax"}),
    "tables, quantile": ("quantile", "l2", {"max_steps": STEPS}),
    "digits, L1": ("log", "l1", SMALL),
    "digits, L2": ("log", "l2", SMALL),
}
WEIGHTS = {"table": (0.0, 0.1, 1.0, 10.0, 100.0), "images": (0.0, 1.0, 10.0, 100.0, 1000.0)}
JACOBIAN_SETS = ("6_cardio", "26_optdigits", "mnist 8")

ARC: dict[str, dict[str, Any]] = {
    "β = 0": {"latent_weight": 0.0},
    "β = 0.1": {"latent_weight": 0.1},
    "β = 1": {"latent_weight": 1.0},
    "β = 10": {"latent_weight": 10.0},
    "β = 10, constant rate": {"latent_weight": 10.0, "schedule": "constant"},
    "β = 10, eight times the steps": {"latent_weight": 10.0, "max_steps": 8 * STEPS},
    "β = 10, no batch norm": {"latent_weight": 10.0, "batch_norm": False},
    "β = 10, neither": {"latent_weight": 10.0, "schedule": "constant", "batch_norm": False},
    "β = 10, untrained": {"latent_weight": 10.0, **methods.UNTRAINED},
}
DRAWN = ("β = 0", "β = 1", "β = 10", "β = 10, neither")  # of which maps are kept
GRID = np.linspace(-4, 4, 33)

LINEAR = (0.5, 1.0, 1.7, 1.9, 2.1, 3.0, 10.0)
TIME = 20.0

EVERY: dict[str, Callable[[int], Any]] = {
    "recommended": methods.ours(LampblackDetector),
    "autoencoder": methods.ours(AutoencoderDetector),
    "LAMP": methods.ours(LAMPDetector),
    "Toll": methods.ours(TollDetector),
    "AMA": methods.ours(AMADetector),
    "untrained autoencoder": methods.ours(AutoencoderDetector, **methods.UNTRAINED),
}
EVERY_DIGIT: dict[str, Callable[[int], Any]] = {
    "recommended": methods.ours(LampblackDetector, **SMALL),
    "autoencoder": methods.ours(AutoencoderDetector, **SMALL),
    "LAMP": methods.ours(LAMPDetector, **SMALL),
    "Toll": methods.ours(TollDetector, **SMALL),
    "AMA": methods.ours(AMADetector, **SMALL),
    "untrained autoencoder": methods.ours(AutoencoderDetector, **{**SMALL, **methods.UNTRAINED}),
}


def jobs() -> list[Job]:
    """Every experiment, set and seed; what is quick comes first."""
    linear = [("linear", f"β = {beta}", 0) for beta in LINEAR]
    arc = [("arc", setting, seed) for seed in range(3) for setting in ARC]
    rays = [(f"rays: {name}", method, 0) for name in TABLES for method in EVERY]
    rays += [(f"rays: {name}", method, 0) for name in DIGITS for method in EVERY_DIGIT]
    mirror = [(f"mirror: {name}", "AMA", 0) for name in ("6_cardio", "mnist 8")]
    norms = [("norms: mnist 8", f"β = {beta}", 0) for beta in (0.0, 10.0, 1000.0)]
    jacobian = [
        (f"jacobian: {name}", f"β = {beta}", 0)
        for name in JACOBIAN_SETS
        for beta in WEIGHTS["images" if name in DIGITS else "table"]
    ]
    sharp = [
        (f"sharpness: {name}", pair, seed)
        for seed in SEEDS
        for pair in PAIRS
        for name in (DIGITS if pair.startswith("digits") else TABLES)
    ]
    return [*linear, *arc, *rays, *mirror, *norms, *jacobian, *sharp]


def run_job(job: Job) -> dict[str, Any]:
    """One experiment, in one thread."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", LampblackWarning)
    name, method, seed = job
    kind, _, of = name.partition(": ")
    facts: dict[str, Any] = {"set": name, "method": method, "seed": seed, "protocol": "label-free"}
    run: dict[str, Callable[[str, str, int], dict[str, Any]]] = {
        "linear": _linear,
        "arc": _arc,
        "rays": _rays,
        "mirror": _mirror,
        "norms": _norms,
        "jacobian": _jacobian,
        "sharpness": _sharpness,
    }
    return {**facts, **run[kind](of, method, seed)}


def _split(name: str, seed: int) -> Split:
    return images.load(name, seed) if name in DIGITS else table_split(name, seed)


def _sharpness(name: str, pair: str, seed: int) -> dict[str, Any]:
    """The same network, seed, data and steps, with and without amplification.

    Of both: how steep the plain and the amplified loss are at the weights reached, on the same
    training samples; and the mean plain error of training, normal test and anomalous samples.
    """
    amplification, error, shared = PAIRS[pair]
    split = _split(name, seed)
    found: dict[str, Any] = {}
    for training, chosen in (("plain", None), ("amplified", amplification)):
        cls = AutoencoderDetector if chosen is None else LAMPDetector
        given = {"amplification": chosen} if chosen else {}
        fit = methods.ours(cls, reconstruction_error=error, **shared, **given)
        found[training] = _measured(fit(seed)(split.train), split, error, amplification, seed)
    return found


def _measured(
    detector: Any, split: Split, error: Any, amplification: Amplification, seed: int
) -> dict[str, Any]:
    kind = "table" if split.train.ndim == 2 else "images"
    networks = detector.networks_
    x = encoded(detector, split.train, LOOKED_AT[kind], seed=seed)
    facts: dict[str, Any] = {}
    for name, chosen in (("plain", None), ("amplified", amplification)):
        loss = mean_loss(networks, x, error=error, amplification=chosen)
        one = sharpness_of(
            loss,
            autoencoder_weights(networks),
            transposed=transposed_weights(networks),
            probes=8,
            iterations=60,
            seed=seed,
        )
        facts[f"{name} loss"] = {key: _short(value) for key, value in asdict(one).items()}
    scores = detector.anomaly_score(split.test)
    of_train = detector.anomaly_score(split.train[:2000])
    facts["error"] = {
        "training": _short(of_train.mean()),
        "normal": _short(scores[~split.is_anomaly].mean()),
        "anomalies": _short(scores[split.is_anomaly].mean()),
        "normal, median": _short(np.median(scores[~split.is_anomaly])),
        "anomalies, median": _short(np.median(scores[split.is_anomaly])),
    }
    facts["auroc"] = float(roc_auc_score(split.is_anomaly, scores))
    return facts


def _jacobian(name: str, method: str, seed: int) -> dict[str, Any]:
    """What the decoder can express as β grows, and what the parts of the score tell apart."""
    split = _split(name, seed)
    beta = float(method.removeprefix("β = "))
    shared = SMALL if name in DIGITS else {"max_steps": STEPS}
    detector = methods.ours(TollDetector, latent_weight=beta, **shared)(seed)(split.train)
    normal = split.test[~split.is_anomaly]
    spectrum = decoder_spectrum(detector, normal, seed=seed)
    x = encoded(detector, normal, 1000, seed=seed)
    with torch.no_grad():
        _, reconstruction = detector.networks_(x)
    ratio = float(reconstruction.std(dim=0).norm() / x.std(dim=0).norm())
    return {
        "effective_rank": _short(spectrum.effective_rank),
        "largest": _short(spectrum.largest),
        "singular_values": [_short(v) for v in spectrum.singular_values.mean(axis=0)],
        "code_norm": _short(np.median(spectrum.code_norms)),
        "reconstructions_vary": _short(ratio),
        **_of_parts(detector, split.test, split.is_anomaly, beta),
    }


def _of_parts(detector: Any, X: Any, truth: Any, beta: float) -> dict[str, float]:
    """AUROC of the whole score, of its error alone and of the norm alone."""
    scores = detector.anomaly_score(X)
    norm = np.linalg.norm(detector.encode(X), axis=1)
    return {
        "auroc": float(roc_auc_score(truth, scores)),
        "auroc_error": float(roc_auc_score(truth, scores - beta * norm)),
        "auroc_norm": float(roc_auc_score(truth, norm)),
    }


def _norms(name: str, method: str, seed: int) -> dict[str, Any]:
    """Norms of codes over training, of normal test digits and of all others."""
    split = _split(name, seed)
    groups = {"normal": split.test[~split.is_anomaly], "anomalies": split.test[split.is_anomaly]}
    seen = CodeNorms({group: X[:SHOWN] for group, X in groups.items()})
    beta = float(method.removeprefix("β = "))
    TollDetector(latent_weight=beta, random_state=seed, **SMALL).fit(split.train, callbacks=[seen])
    return {"records": _short_records(seen.records)}


def _mirror(name: str, method: str, seed: int) -> dict[str, Any]:
    """Critic distances over training, and at its end beside the typicality band."""
    split = _split(name, seed)
    groups = {"normal": split.test[~split.is_anomaly], "anomalies": split.test[split.is_anomaly]}
    groups = {group: X[:SHOWN] for group, X in groups.items()}
    seen = CriticDistances(groups, seed=seed)
    shared = SMALL if name in DIGITS else {"max_steps": STEPS}
    detector = AMADetector(score_by="typicality", random_state=seed, **shared)
    detector.fit(split.train, callbacks=[seen])
    found = critic_distances(detector, groups, seed=seed)
    truth = np.repeat([False, True], [len(X) for X in groups.values()])
    together = np.concatenate([found.distances[group] for group in groups])
    return {
        "records": _short_records(seen.records),
        "band": [_short(edge) for edge in found.band],
        "outside": {group: list(map(_short, shares)) for group, shares in found.outside.items()},
        "auroc_distance": float(roc_auc_score(truth, together)),
        "auroc_typicality": float(
            roc_auc_score(
                truth, np.concatenate([detector.anomaly_score(X) for X in groups.values()])
            )
        ),
    }


def _rays(name: str, method: str, seed: int) -> dict[str, Any]:
    """How a score goes on, once it has left the normal ones."""
    split = _split(name, seed)
    detector = (EVERY_DIGIT if name in DIGITS else EVERY)[method](seed)(split.train)
    normal = split.test[~split.is_anomaly]
    bound = float(np.quantile(detector.anomaly_score(normal), 0.99))
    start = normal if name in DIGITS else split.train
    found = along_rays(detector, start, bound=bound, seed=seed)
    return {
        "left": found.left,
        "stays": found.stays,
        "share_above": [_short(share) for share in found.share_above],
    }


def _arc(_: str, setting: str, seed: int) -> dict[str, Any]:
    """Toll on points along an arc of the plane, against points from all over it."""
    rng = np.random.default_rng(seed)
    train, normal = arc(2000, rng), arc(500, rng)
    others = rng.uniform(-4, 4, (1000, 2))
    parameters = {"max_steps": STEPS, **ARC[setting]}
    hidden, latent = (64, 32), 2
    if not parameters.pop("batch_norm", True):
        parameters["networks"] = plain_networks(2, hidden, latent, seed)
    detector = TollDetector(hidden=hidden, latent_dim=latent, random_state=seed, **parameters)
    detector.fit(train)
    X, truth = np.concatenate([normal, others]), np.repeat([False, True], [500, 1000])
    beta = parameters["latent_weight"]
    found: dict[str, Any] = _of_parts(detector, X, truth, beta)
    found["code_norm"] = _short(np.median(np.linalg.norm(detector.encode(normal), axis=1)))
    found["others_norm"] = _short(np.median(np.linalg.norm(detector.encode(others), axis=1)))
    spectrum = decoder_spectrum(detector, normal, seed=seed)
    found["largest"] = _short(spectrum.largest)
    spread = detector.reconstruct(normal).std(axis=0).max() / normal.std(axis=0).max()
    found["reconstructions_vary"] = _short(spread)
    if setting in DRAWN and seed == 0:
        places = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)
        norms = np.linalg.norm(detector.encode(places), axis=1)
        errors = detector.anomaly_score(places) - beta * norms
        found["map"] = {
            "error": [_short(v, 3) for v in errors],
            "norm": [_short(v, 3) for v in norms],
        }
    return found


def arc(n: int, rng: np.random.Generator) -> Values:
    """Points (n, 2) along three fifths of a circle of radius 2, a little off it."""
    angle = rng.uniform(0, 1.2 * np.pi, n)
    circle = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return circle + 0.1 * rng.normal(size=(n, 2))


def plain_networks(
    width: int, hidden: tuple[int, ...], latent: int, seed: int
) -> tuple[nn.Module, nn.Module]:
    """The dense networks without batch norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = []
        for widths in ((width, *hidden, latent), (latent, *hidden[::-1], width)):
            layers: list[nn.Module] = []
            for before, after in pairwise(widths):
                layers += [nn.Linear(before, after), nn.ReLU()]
            pair.append(nn.Sequential(*layers[:-1]))
    return pair[0], pair[1]


def _linear(_: str, method: str, seed: int) -> dict[str, Any]:
    """Closed form and simulation of the one-dimensional linear case, from w = 2, v = ½."""
    beta = float(method.removeprefix("β = "))
    ends = {
        "closed form": linear_toll.closed_form(beta, TIME),
        "simulated, decaying": linear_toll.simulated(beta, TIME),
        "simulated, constant": linear_toll.simulated(beta, TIME, decays=False, step=1e-2),
        "simulated, squared": linear_toll.simulated(beta, TIME, squared=True),
        "simulated, |v| ≤ 3": linear_toll.simulated(beta, TIME, bound=3.0),
    }
    return {
        name: {
            "collapses": end.collapses,
            "when": None if np.isinf(end.when) else _short(end.when),
            "norm": _short(end.norm),
            "error": _short(end.error),
        }
        for name, end in ends.items()
    }


def _short(value: Any, digits: int = 5) -> Any:
    """A number as short as it is read."""
    return value if isinstance(value, bool) else float(f"{float(value):.{digits}g}")


def _short_records(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with their quantiles shortened."""
    return [
        {
            name: [_short(v, 4) for v in value] if isinstance(value, list) else value
            for name, value in record.items()
        }
        for record in records
    ]
