"""AMA by its parts, with labels, with contamination, and where plain error fails.

Eight tables and three digits were named before the first run. A fit of AMA is judged by every score
that its networks allow, since training does not depend on the score; scores that learn what is
usual learn it from held-out samples, which every such fit holds out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks import far, images, methods, protocol
from benchmarks.protocol import Split
from lampblack import AMADetector, AutoencoderDetector, LAMPDetector, TollDetector

TABLES = (
    "6_cardio",
    "14_glass",
    "18_Ionosphere",
    "20_letter",
    "26_optdigits",
    "30_satellite",
    "38_thyroid",
    "40_vowels",
)
DIGITS = ("mnist 8", "mnist 3", "mnist 1")
SHARES = (0, 1, 5, 10)  # per cent of the training rows that are labelled, or unnoticed, anomalies

NO_CRITIC = {"adversarial_weight": 0.0, "atypical": None, "score_by": "joint"}


def ama(**parameters: Any) -> Callable[[int], Any]:
    """AMA with a score that holds rows out, so that every score can be read off one training."""
    return methods.ours(AMADetector, **{"score_by": "joint", **parameters})


ABLATION: dict[str, Callable[[int], Any]] = {
    "AMA": ama(),
    "the authors' parts": ama(reconstruction_weight=0.0, spectral_norm=True, latent_weight=1.0),
    "without reconstruction term": ama(reconstruction_weight=0.0),
    "with spectral norm": ama(spectral_norm=True),
    "without gradient penalty": ama(gradient_penalty=0.0),
    "without mirror": ama(mirror=False),
    "without simplex": ama(simplex_weight=0.0),
    "without atypical selection": ama(atypical=None),
    "outward selection": ama(atypical="outward"),
    "hinge": ama(critic_loss="hinge"),
    "five critic steps": ama(critic_steps=5),
    "with latent term (Toll × AMA)": ama(latent_weight=0.1),
    "amplified (LAMP × AMA)": ama(amplification="quantile"),
    "amplified, latent term (all three)": ama(amplification="quantile", latent_weight=0.1),
    "no critic (autoencoder)": ama(**NO_CRITIC),
    "no critic, amplified (LAMP)": ama(**NO_CRITIC, amplification="quantile"),
    "no critic, latent term (Toll)": ama(**NO_CRITIC, latent_weight=0.1),
    "no critic, both (LAMP × Toll)": ama(**NO_CRITIC, amplification="quantile", latent_weight=0.1),
    "untrained": ama(**methods.UNTRAINED),
}
SUPERVISED: dict[str, Callable[[int], Any]] = {
    "AMA, labels": ama(supervision="labels"),
    "AMA, labels, no reconstruction term": ama(supervision="labels", reconstruction_weight=0.0),
}
CONTAMINATED: dict[str, Callable[[int], Any]] = {
    "autoencoder": methods.ours(AutoencoderDetector),
    "LAMP (quantile, ours)": methods.ours(LAMPDetector, amplification="quantile"),
    "Toll": methods.ours(TollDetector),
    "AMA": ama(),
    "kNN (k = 5)": methods.nearest_neighbours,
    "isolation forest": methods.isolation_forest,
}
FAR: dict[str, Callable[[int], Any]] = {
    "AMA": ama(),
    "autoencoder": methods.ours(AutoencoderDetector),
    "no critic (autoencoder)": ama(**NO_CRITIC),
    "untrained": ama(**methods.UNTRAINED),
    "Toll": methods.ours(TollDetector),
    "LAMP": methods.ours(LAMPDetector),
    "the authors' parts": ama(reconstruction_weight=0.0, spectral_norm=True, latent_weight=1.0),
}

CODES: dict[str, Callable[[int], Any]] = {
    "AMA": ama(),
    "autoencoder": methods.ours(AutoencoderDetector),
    "AMA, latent term": ama(latent_weight=0.1),
    "AMA, no simplex": ama(simplex_weight=0.0),
    "untrained": methods.ours(AutoencoderDetector, **methods.UNTRAINED),
}

Job = tuple[str, str, int]


def jobs() -> list[Job]:
    """Every set, method and seed; what matters most comes first."""
    tables = [(name, method, 0) for method in ABLATION for name in TABLES]
    distant = [("far", method, 0) for method in FAR]
    others = [("far from digits", method, 0) for method in FAR]
    codes = [("codes", method, 0) for method in CODES]
    digits = [(name, method, 0) for method in ABLATION for name in DIGITS]
    again = [(name, method, 1) for method in ABLATION for name in TABLES]
    labelled = [
        (f"{name}, {share} % labelled", method, 0)
        for method in SUPERVISED
        for share in SHARES[1:]
        for name in TABLES
    ]
    contaminated = [
        (f"{name}, {share} % contaminated", method, 0)
        for method in CONTAMINATED
        for share in SHARES
        for name in TABLES
    ]
    first = [(name, "AMA", 0) for name in DIGITS]
    later = [*contaminated, *labelled, *others, *codes, *again, *digits]
    return list(dict.fromkeys([*distant, *first, *tables, *later]))


def run_job(job: Job) -> dict[str, Any]:
    """One fit in one thread, and the AUROC of every score."""
    import torch

    torch.set_num_threads(1)
    name, method, seed = job
    facts: dict[str, Any] = {"set": name, "method": method, "seed": seed, "protocol": "label-free"}
    if name == "far":
        return {**facts, **far.measure(FAR[method](seed), far.normal_and_others(seed))}
    if name == "far from digits":
        return {**facts, **far.measure(FAR[method](seed), far.digits_and_others(seed))}
    if name == "codes":
        return {**facts, **far.codes(CODES[method](seed))}
    table, _, condition = name.partition(", ")
    if condition.endswith("labelled"):
        facts["protocol"] = "semi-supervised"
        X, y, split = with_labels(table, int(condition.split()[0]), seed)
        facts["share"] = float((y == -1).mean())
        return {**facts, **_judge(lambda: SUPERVISED[method](seed)((X, y)), split)}
    if condition:
        split = contaminated_split(table, int(condition.split()[0]), seed)
        facts["share"] = 1 - len(table_split(table, seed).train) / len(split.train)
        return {**facts, **_judge(lambda: CONTAMINATED[method](seed)(split.train), split)}
    split = images.load(name, seed) if name in DIGITS else table_split(name, seed)
    return {**facts, **_judge(lambda: ABLATION[method](seed)(split.train), split)}


def table_split(name: str, seed: int) -> Split:
    """Rows of an ADBench table."""
    X, is_anomaly = protocol.load_adbench(dict(protocol.adbench_sets())[name])
    return protocol.one_class_split(X, is_anomaly, seed)


def contaminated_split(name: str, share: int, seed: int) -> Split:
    """The split with so many per cent of the training rows anomalies, as far as there are some.

    Half of the anomalies are set aside for this and never tested, whatever the share: so the test
    rows are the same for all shares.
    """
    split = table_split(name, seed)
    anomalies = np.random.default_rng(seed).permutation(np.flatnonzero(split.is_anomaly))
    aside = anomalies[: len(anomalies) // 2]
    wanted = round(share / (100 - share) * len(split.train))
    kept = np.ones(len(split.test), dtype=bool)
    kept[aside] = False
    train = np.concatenate([split.train, split.test[aside[:wanted]]])
    return Split(train, split.test[kept], split.is_anomaly[kept])


def with_labels(name: str, share: int, seed: int) -> tuple[Any, Any, Split]:
    """Training rows with so many per cent of labelled anomalies, their labels, and the split."""
    split = contaminated_split(name, share, seed)
    normal = len(table_split(name, seed).train)
    y = np.repeat([1, -1], [normal, len(split.train) - normal])
    return split.train, y, split


def _judge(fit: Callable[[], Any], split: Split) -> dict[str, Any]:
    started = time.process_time()
    detector = fit()
    fitted = time.process_time()
    scores = (
        far.scores_of(detector, split.test)
        if hasattr(detector, "networks_")
        else {"": detector.anomaly_score(split.test)}
    )
    return {
        "auroc": {name: float(roc_auc_score(split.is_anomaly, s)) for name, s in scores.items()},
        "fit_cpu_s": round(fitted - started, 2),
    }
