"""What would a checkpoint chosen by labels add?

The papers' protocol: the checkpoint with the best AUROC on labelled validation data.

Toll's and AMA's authors kept such checkpoints; a user who has only normal data cannot. Half of the
normal test samples and half of the anomalies validate, the others test; both figures are of these
others: of the weights at the end of training (label-free), and of the best ones seen on the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.lab.chosen import TWO_DIGITS, split_of
from benchmarks.lab.figures import mean, mean_and_error
from benchmarks.lab.markdown import markdown
from benchmarks.lab.methods import ours, quiet
from benchmarks.lab.protocol import Split
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Study, every
from benchmarks.studies.arrhythmia import METHODS
from lampblack import AMADetector, AutoencoderDetector, Callback, TollDetector
from lampblack.model.parameters import filled_in
from lampblack.networks import AutoencoderPair
from lampblack.scores import Passed
from lampblack.training.callbacks import Record

AT_ONCE = 1000

TABLE = [name for name in METHODS if name.startswith("published: ")]
IMAGES: dict[str, Callable[[int], Any]] = {
    "autoencoder": ours(AutoencoderDetector),
    "Toll": ours(TollDetector),
    "AMA, critic's score": ours(AMADetector, score_by="critic"),
}


class BestByLabels(Callback):
    """Keeps the weights with the best AUROC on labelled samples, looked at after every epoch."""

    def __init__(self, detector: Any, X: Any, is_anomaly: Any) -> None:
        self._detector, self._X, self._is_anomaly = detector, X, is_anomaly
        self.best = -1.0
        self.state: dict[str, Tensor] = {}

    def on_networks(self, networks: AutoencoderPair, encode: Callable[[Any], Tensor]) -> None:
        """Keep the networks, and the labelled samples as they take them."""
        self._networks, self._x = networks, encode(self._X)
        kind = "table" if self._X.ndim == 2 else "images"
        parameters = self._detector.replaced(**filled_in(self._detector, kind))
        self._score = self._detector.recipe.score(parameters)
        self._score.prepare(None, networks)

    @torch.no_grad()
    def on_epoch_end(self, record: Record) -> None:
        """Look at the labelled samples."""
        scored = [
            self._score(self._networks, Passed(x, *self._networks(x))).score
            for x in torch.split(self._x, AT_ONCE)
        ]
        auroc = float(roc_auc_score(self._is_anomaly, torch.cat(scored).numpy()))
        if auroc > self.best:
            self.best = auroc
            state = self._networks.state_dict()
            self.state = {name: value.clone() for name, value in state.items()}


JOBS = every(["arrhythmia"], TABLE, range(10)) + every(TWO_DIGITS, IMAGES)


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, judged by both protocols on the same test samples."""
    split = split_of(name, seed)
    fit: Any = METHODS[method] if method in TABLE else IMAGES[method]
    detector = fit.unfitted(seed)
    validates = _halves(split, seed)
    best = BestByLabels(detector, split.test[validates], split.is_anomaly[validates])
    with quiet():
        detector.fit(split.train, callbacks=[best])
    tested, truth = split.test[~validates], split.is_anomaly[~validates]
    last = float(roc_auc_score(truth, detector.anomaly_score(tested)))
    detector.networks_.load_state_dict(best.state)
    kept = float(roc_auc_score(truth, detector.anomaly_score(tested)))
    return {"protocol": "both", "auroc": last, "auroc_labelled_checkpoint": kept}


def _halves(split: Split, seed: int) -> Any:
    """Which test samples validate: a random half of the normal ones and of the anomalies."""
    rng = np.random.default_rng(seed)
    validates = np.zeros(len(split.test), dtype=bool)
    for kind in (split.is_anomaly, ~split.is_anomaly):
        members = rng.permutation(np.flatnonzero(kind))
        validates[members[: len(members) // 2]] = True
    return validates


def checkpoints(rows: Rows) -> str:
    """Both protocols on the same test samples: the last weights, and the best by labels."""
    found: dict[tuple[str, str], Rows] = defaultdict(list)
    for row in rows:
        found[row["set"], row["method"]].append(row)
    lines = []
    for (name, method), runs in sorted(found.items(), key=lambda item: item[0][0]):
        last = [100 * row["auroc"] for row in runs]
        kept = [100 * row["auroc_labelled_checkpoint"] for row in runs]
        gain, error = mean_and_error([b - a for a, b in zip(last, kept, strict=True)])
        spread = f" ± {error:.2f}" if len(runs) > 1 else ""
        figures = (f"{mean(last):.2f}", f"{mean(kept):.2f}", f"{gain:+.2f}{spread}")
        lines.append([name, method, *figures, len(runs)])
    columns = ["set", "method", "label-free", "the papers' (labelled checkpoint)", "gain", "seeds"]
    return markdown(columns, lines, "`python -m benchmarks checkpoints`.")


STUDY = Study("labelled", Fits(lambda: JOBS, run), blocks={"labelled-checkpoints": checkpoints})
