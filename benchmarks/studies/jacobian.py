"""What can Toll's decoder still express as β grows, by its Jacobian?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.lab.chosen import TWO_DIGITS, split_of
from benchmarks.lab.markdown import Columns, hundred, markdown
from benchmarks.lab.methods import ours
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Study
from benchmarks.lab.why import aurocs_of_parts, beta_of, budget, note, of, short
from lampblack import TollDetector
from lampblack.diagnostics import decoder_spectrum
from lampblack.diagnostics.chosen import encoded

SETS = ("6_cardio", "26_optdigits", "mnist 8")
OF_TABLES = (0.0, 0.1, 1.0, 10.0, 100.0)
OF_DIGITS = (0.0, 1.0, 10.0, 100.0, 1000.0)
JOBS = [
    (f"jacobian: {name}", f"β = {beta}", 0)
    for name in SETS
    for beta in (OF_DIGITS if name in TWO_DIGITS else OF_TABLES)
]


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """What the decoder can express as β grows, and what the parts of the score tell apart."""
    name = name.partition(": ")[2]
    split = split_of(name, seed)
    beta = beta_of(method)
    detector = ours(TollDetector, latent_weight=beta, **budget(name))(seed)(split.train)
    normal = split.test[~split.is_anomaly]
    spectrum = decoder_spectrum(detector, normal, seed=seed)
    x = encoded(detector, normal, 1000, seed=seed)
    with torch.no_grad():
        _, reconstruction = detector.networks_(x)
    ratio = float(reconstruction.std(dim=0).norm() / x.std(dim=0).norm())
    return {
        "effective_rank": short(spectrum.effective_rank),
        "largest": short(spectrum.largest),
        "singular_values": [short(v) for v in spectrum.singular_values.mean(axis=0)],
        "code_norm": short(np.median(spectrum.code_norms)),
        "reconstructions_vary": short(ratio),
        **aurocs_of_parts(detector, split.test, split.is_anomaly, beta),
    }


def jacobian(rows: Rows) -> str:
    """The spectrum against β."""
    own = [row for name, method, _ in JOBS for row in of(rows, name, [method])]
    columns: Columns = {
        "set": lambda row: row["set"].removeprefix("jacobian: "),
        "β": lambda row: f"{beta_of(row['method']):g}",
        "effective rank": "{effective_rank:.1f}",
        "largest singular value": "{largest:.3g}",
        "norm of normal codes": "{code_norm:.3g}",
        "reconstructions vary": "{reconstructions_vary:.3f}",
        "AUROC": hundred("auroc"),
        "error alone": hundred("auroc_error"),
        "norm alone": hundred("auroc_norm"),
    }
    return markdown(columns, own, note(rows, "jacobian", "Seed 0", JOBS))


STUDY = Study("why", Fits(lambda: JOBS, run), blocks={"why-jacobian": jacobian})
