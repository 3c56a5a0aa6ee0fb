"""The papers' protocol: the checkpoint with the best AUROC on labelled validation data.

Toll's and AMA's authors kept such checkpoints; a user who has only normal data cannot. Half of the
normal test samples and half of the anomalies validate, the others test; both figures are of these
others: of the weights at the end of training (label-free), and of the best ones seen on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks import images, methods, protocol
from benchmarks.protocol import Split
from lampblack import AMADetector, AutoencoderDetector, TollDetector
from lampblack.detectors.base import ReconstructionDetector
from lampblack.networks import AutoencoderPair
from lampblack.scores import Passed
from lampblack.training.callbacks import Callback, Record

DIGITS = ("mnist 8", "mnist 3")
AT_ONCE = 1000

Job = tuple[str, str, int]

TABLE = [name for name in methods.ARRHYTHMIA if name.startswith("published: ")]
IMAGES: dict[str, Callable[[int], ReconstructionDetector]] = {
    "autoencoder": lambda seed: AutoencoderDetector(random_state=seed),
    "Toll": lambda seed: TollDetector(random_state=seed),
    "AMA, critic's score": lambda seed: AMADetector(score_by="critic", random_state=seed),
}


class BestByLabels(Callback):
    """Keeps the weights with the best AUROC on labelled samples, looked at after every epoch."""

    def __init__(self, detector: ReconstructionDetector, X: Any, is_anomaly: Any) -> None:
        self._detector, self._X, self._is_anomaly = detector, X, is_anomaly
        self.best = -1.0
        self.state: dict[str, Tensor] = {}

    def on_networks(self, networks: AutoencoderPair, encode: Callable[[Any], Tensor]) -> None:
        """Keep the networks, and the labelled samples as they take them."""
        self._networks, self._x = networks, encode(self._X)

    @torch.no_grad()
    def on_epoch_end(self, record: Record) -> None:
        """Look at the labelled samples."""
        score = self._detector._build_score()
        scored = [
            score(self._networks, Passed(x, *self._networks(x))).score
            for x in torch.split(self._x, AT_ONCE)
        ]
        auroc = float(roc_auc_score(self._is_anomaly, torch.cat(scored).numpy()))
        if auroc > self.best:
            self.best = auroc
            state = self._networks.state_dict()
            self.state = {name: value.clone() for name, value in state.items()}


def jobs() -> list[Job]:
    """Arrhythmia with Toll's published settings, ten seeds; two digits."""
    rows = [("arrhythmia", method, seed) for seed in range(10) for method in TABLE]
    return rows + [(name, method, 0) for method in IMAGES for name in DIGITS]


def run_job(job: Job) -> dict[str, Any]:
    """One fit, judged by both protocols on the same test samples."""
    torch.set_num_threads(1)
    name, method, seed = job
    if name == "arrhythmia":
        split = protocol.one_class_split(*protocol.load_table(name), seed)
        detector = methods.ARRHYTHMIA[method].unfitted(seed)  # type: ignore[attr-defined]
    else:
        split = images.load(name, seed)
        detector = IMAGES[method](seed)
    validates = _halves(split, seed)
    best = BestByLabels(detector, split.test[validates], split.is_anomaly[validates])
    with methods.quiet():
        detector.fit(split.train, callbacks=[best])
    tested, truth = split.test[~validates], split.is_anomaly[~validates]
    last = float(roc_auc_score(truth, detector.anomaly_score(tested)))
    detector.networks_.load_state_dict(best.state)
    kept = float(roc_auc_score(truth, detector.anomaly_score(tested)))
    facts = {"set": name, "method": method, "seed": seed, "protocol": "both"}
    return {**facts, "auroc": last, "auroc_labelled_checkpoint": kept}


def _halves(split: Split, seed: int) -> Any:
    """Which test samples validate: a random half of the normal ones and of the anomalies."""
    rng = np.random.default_rng(seed)
    validates = np.zeros(len(split.test), dtype=bool)
    for kind in (split.is_anomaly, ~split.is_anomaly):
        members = rng.permutation(np.flatnonzero(kind))
        validates[members[: len(members) // 2]] = True
    return validates
