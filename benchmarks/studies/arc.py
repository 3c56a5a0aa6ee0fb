"""Does Toll collapse on points along an arc of the plane, and what do its two parts see?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.lab.drawing import panels
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.methods import UNTRAINED
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Picture, Study, every
from benchmarks.lab.why import STEPS, aurocs_of_parts, mean_of, note, of, short
from lampblack import TollDetector
from lampblack.diagnostics import decoder_spectrum

Values = npt.NDArray[np.float64]

SETTINGS: dict[str, dict[str, Any]] = {
    "β = 0": {"latent_weight": 0.0},
    "β = 0.1": {"latent_weight": 0.1},
    "β = 1": {"latent_weight": 1.0},
    "β = 10": {"latent_weight": 10.0},
    "β = 10, constant rate": {"latent_weight": 10.0, "schedule": "constant"},
    "β = 10, eight times the steps": {"latent_weight": 10.0, "max_steps": 8 * STEPS},
    "β = 10, no batch norm": {"latent_weight": 10.0, "batch_norm": False},
    "β = 10, neither": {"latent_weight": 10.0, "schedule": "constant", "batch_norm": False},
    "β = 10, untrained": {"latent_weight": 10.0, **UNTRAINED},
}
DRAWN = ("β = 0", "β = 1", "β = 10", "β = 10, neither")  # of which maps are kept
GRID = np.linspace(-4, 4, 33)
JOBS = every(["arc"], SETTINGS, range(3))


def run(_: str, setting: str, seed: int) -> dict[str, Any]:
    """Toll on points along an arc of the plane, against points from all over it."""
    rng = np.random.default_rng(seed)
    train, normal = arc(2000, rng), arc(500, rng)
    others = rng.uniform(-4, 4, (1000, 2))
    parameters = {"max_steps": STEPS, **SETTINGS[setting]}
    hidden, latent = (64, 32), 2
    if not parameters.pop("batch_norm", True):
        parameters["networks"] = plain_networks(2, hidden, latent, seed)
    detector = TollDetector(hidden=hidden, latent_dim=latent, random_state=seed, **parameters)
    detector.fit(train)
    X, truth = np.concatenate([normal, others]), np.repeat([False, True], [500, 1000])
    beta = parameters["latent_weight"]
    found: dict[str, Any] = aurocs_of_parts(detector, X, truth, beta)
    found["code_norm"] = short(np.median(np.linalg.norm(detector.encode(normal), axis=1)))
    found["others_norm"] = short(np.median(np.linalg.norm(detector.encode(others), axis=1)))
    spectrum = decoder_spectrum(detector, normal, seed=seed)
    found["largest"] = short(spectrum.largest)
    spread = detector.reconstruct(normal).std(axis=0).max() / normal.std(axis=0).max()
    found["reconstructions_vary"] = short(spread)
    if setting in DRAWN and seed == 0:
        places = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)
        norms = np.linalg.norm(detector.encode(places), axis=1)
        errors = detector.anomaly_score(places) - beta * norms
        found["map"] = {
            "error": [short(v, 3) for v in errors],
            "norm": [short(v, 3) for v in norms],
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


def table(rows: Rows) -> str:
    """AUROC of the score and of its parts, norms of codes, and what the decoder does."""
    lines = []
    for setting in SETTINGS:
        own = of(rows, "arc", [setting])
        if not own:
            return NONE
        cells = [f"{100 * mean_of(own, f):.1f}" for f in ("auroc", "auroc_error", "auroc_norm")]
        cells += [f"{mean_of(own, f):.3g}" for f in ("code_norm", "others_norm", "largest")]
        lines.append([setting, *cells, f"{mean_of(own, 'reconstructions_vary'):.3f}"])
    return markdown(
        [
            *("setting", "AUROC", "error alone", "norm alone", "norm, normal", "norm, others"),
            *("largest singular value", "reconstructions vary"),
        ],
        lines,
        note(rows, "arc", "Means over seeds 0 to 2", JOBS),
    )


def draw(rows: Rows) -> Any:
    """Error and norm over the plane, as maps, with the arc."""
    own = [r for setting in DRAWN for r in of(rows, "arc", [setting]) if "map" in r]
    if not own:
        return None
    figure, places = panels(3 * len(own), 6, len(own), 2)
    points = arc(200, np.random.default_rng(1))
    side = (-4, 4, -4, 4)
    for column, row in enumerate(own):
        for line, part in enumerate(("error", "norm")):
            axes = places[line][column]
            values = np.log10(np.maximum(np.array(row["map"][part]), 1e-6)).reshape(33, 33)
            image = axes.imshow(values, origin="lower", extent=side, cmap="viridis")
            axes.plot(*points.T, ".", color="white", markersize=2)
            axes.set_xticks([])
            axes.set_yticks([])
            figure.colorbar(image, ax=axes, shrink=0.8)
            axes.set_title(f"{row['method']}\nlog₁₀ of the {part}", fontsize=9)
    return figure


STUDY = Study(
    "why",
    Fits(lambda: JOBS, run),
    blocks={"why-arc": table},
    pictures=(Picture(draw, "why-arc.png"),),
)
