"""One-class images: MNIST, CIFAR-10 (as JPEG) and solar cells (ELPV), label-free.

Train on the training images of one class, test on the whole official test set; ELPV has no split,
so a random half of the cells that are certainly good trains, and the other half and the certainly
defective ones test. Nothing is held back from our detectors but what they calibrate with.
"""

from __future__ import annotations

import gzip
import io
import resource
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from benchmarks.methods import UNTRAINED, ours
from benchmarks.protocol import Split, data_folder
from lampblack import (
    AMADetector,
    AutoencoderDetector,
    LampblackDetector,
    LAMPDetector,
    TollDetector,
)

Pixels = npt.NDArray[np.uint8]

DIGITS = [f"mnist {digit}" for digit in range(10)]
CIFAR_CLASSES = [f"cifar10 {label}" for label in range(10)]
FIRST = (
    "PCA reconstruction",
    "kNN on pixels (k = 5)",
    "untrained Toll",
    "Toll",
    "autoencoder (L2)",
)
SIDE = 64  # pixels that folders of photographs are brought to
PLATEAU_SETS = ("mnist 8", "mnist 2")


class NearestImages:
    """Mean distance to the five nearest training images, pixel by pixel."""

    def __init__(self, train: Pixels) -> None:
        flat = train.reshape(len(train), -1) / np.float32(255)
        self.neighbours = NearestNeighbors(n_neighbors=5).fit(flat)

    def anomaly_score(self, X: Pixels) -> npt.NDArray[np.float64]:
        """Score images (n, channels, h, w)."""
        flat = X.reshape(len(X), -1) / np.float32(255)
        return np.asarray(self.neighbours.kneighbors(flat)[0].mean(axis=1))


class PrincipalComponents:
    """Squared error of the reconstruction from the components that hold 90 % of the variance."""

    def __init__(self, train: Pixels) -> None:
        flat = train.reshape(len(train), -1) / np.float32(255)
        self.pca = PCA(0.9, svd_solver="full").fit(flat)

    def anomaly_score(self, X: Pixels) -> npt.NDArray[np.float64]:
        """Score images (n, channels, h, w)."""
        flat = X.reshape(len(X), -1) / np.float32(255)
        expected = self.pca.inverse_transform(self.pca.transform(flat))
        return np.asarray(((flat - expected) ** 2).sum(axis=1))


Method = Callable[[int], Callable[[Any], Any]]

IMAGES: dict[str, Method] = {
    "autoencoder (L2)": ours(AutoencoderDetector),
    "LAMP (L2)": ours(LAMPDetector),
    "autoencoder (L1)": ours(AutoencoderDetector, reconstruction_error="l1"),
    "LAMP (L1)": ours(LAMPDetector, reconstruction_error="l1"),
    "Toll": ours(TollDetector),
    "LAMP × Toll": ours(TollDetector, amplification="log"),
    "AMA": ours(AMADetector),
    "recommended": ours(LampblackDetector),
    "untrained autoencoder": ours(AutoencoderDetector, **UNTRAINED),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
    "PCA reconstruction": lambda seed: PrincipalComponents,
    "kNN on pixels (k = 5)": lambda seed: NearestImages,
}
SSIM: dict[str, Method] = {  # six times the time of the others: one seed
    "autoencoder (SSIM)": ours(AutoencoderDetector, reconstruction_error="ssim"),
    "LAMP (SSIM)": ours(LAMPDetector, reconstruction_error="ssim"),
}
PLATEAU: dict[str, Method] = {
    **{f"Toll, {n} steps": ours(TollDetector, max_steps=n) for n in (75, 150, 300, 600, 1200)},
    **{f"Toll, β = {b}": ours(TollDetector, latent_weight=b) for b in (0.0, 1.0, 10.0, 100.0)},
    "Toll, β = 10000.0": ours(TollDetector, latent_weight=1e4),
    "Toll, constant rate": ours(TollDetector, schedule="constant"),
    "Toll, rate 3e-3": ours(TollDetector, learning_rate=3e-3),
    "Toll, rate 3e-4": ours(TollDetector, learning_rate=3e-4),
    "Toll, code of 32": ours(TollDetector, latent_dim=32),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
}

Job = tuple[str, str, int]


def jobs() -> list[Job]:
    """Every class, method and seed; what matters most comes first."""
    first = [(name, method, 0) for method in FIRST for name in ["elpv", *DIGITS]]
    brief = [method for method in IMAGES if method != "AMA"]  # five times the time of the others
    rest = [(name, method, 0) for method in IMAGES for name in ["elpv", *DIGITS]]
    plateau = [(name, method, s) for s in range(3) for method in PLATEAU for name in PLATEAU_SETS]
    cifar = [(name, method, 0) for method in brief for name in CIFAR_CLASSES]
    later = [(name, method, s) for s in (1, 2) for method in brief for name in ["elpv", *DIGITS]]
    ssim = [(name, method, 0) for method in SSIM for name in ["elpv", *DIGITS]]
    more = [(name, method, 0) for method in brief for name in further_sets()]
    return list(dict.fromkeys([*first, *rest, *plateau, *cifar, *later, *ssim, *more]))


def further_sets() -> list[str]:
    """What else lies in the data folder: IDX sets, a name for each class; and folders of images.

    An IDX set is a folder of four files named like MNIST's. A folder of images has train/good,
    test/good and test/<defect>, as MVTec's has.
    """
    found = []
    folders = sorted(path for path in data_folder().glob("*") if path.is_dir())
    for folder in folders:
        if folder.name != "mnist" and (folder / "train-images-idx3-ubyte.gz").exists():
            labels = sorted(set(load_idx(folder.name)[1].tolist()))
            found += [f"{folder.name} {label}" for label in labels]
        elif (folder / "train" / "good").is_dir() and (folder / "test" / "good").is_dir():
            found.append(folder.name)
    return found


def run_job(job: Job) -> dict[str, Any]:
    """One fit and its figures, in one thread and a process of its own, whose memory is measured."""
    import torch

    torch.set_num_threads(1)
    name, method, seed = job
    split = load(name, seed)
    fit = {**IMAGES, **SSIM, **PLATEAU}[method](seed)
    before, wall = time.process_time(), time.perf_counter()
    detector = fit(split.train)
    facts: dict[str, Any] = {
        "fit_cpu_s": round(time.process_time() - before, 2),
        "fit_wall_s": round(time.perf_counter() - wall, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    scores = detector.anomaly_score(split.test)
    facts["auroc"] = float(roc_auc_score(split.is_anomaly, scores))
    facts["ap"] = float(average_precision_score(split.is_anomaly, scores))
    weight = getattr(detector, "parameters_", {}).get("latent_weight", 0)
    if weight:
        norm = weight * np.linalg.norm(detector.encode(split.test), axis=1)
        facts["auroc_norm"] = float(roc_auc_score(split.is_anomaly, norm))
        facts["auroc_error"] = float(roc_auc_score(split.is_anomaly, scores - norm))
        facts["norm_share"] = float((norm / scores)[~split.is_anomaly].mean())
    return {"set": name, "method": method, "seed": seed, "protocol": "label-free", **facts}


def load(name: str, seed: int) -> Split:
    """Training and test images (n, channels, h, w) of a class."""
    if name == "elpv":
        return _load_elpv(seed)
    if (data_folder() / name / "train" / "good").is_dir():
        return _load_folder(name)
    kind, label = name.split()
    X, y, test, test_y = load_cifar() if kind == "cifar10" else load_idx(kind)
    return Split(X[y == int(label)], test, test_y != int(label))


def load_mnist() -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """MNIST: training images (n, 1, 28, 28), their digits, test images, theirs."""
    return load_idx("mnist")


def load_idx(name: str) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """A set written as MNIST is: training images, their labels, test images, theirs."""
    arrays = []
    for part in ("train", "t10k"):
        for kind, offset in (("images-idx3", 16), ("labels-idx1", 8)):
            path = data_folder() / name / f"{part}-{kind}-ubyte.gz"
            content = gzip.decompress(path.read_bytes())
            values = np.frombuffer(content, np.uint8, offset=offset)
            if offset == 16:
                height, width = np.frombuffer(content, ">i4", 2, offset=8)
                values = values.reshape(-1, 1, height, width)
            arrays.append(values)
    return arrays[0], arrays[1], arrays[2], arrays[3]


def load_cifar() -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """CIFAR-10 as JPEG: training images (n, 3, 32, 32), their classes, test images, theirs."""
    arrays = []
    for part in ("train", "test"):
        with np.load(data_folder() / "cifar10" / f"cifar10_jpeg_{part}.npz") as content:
            packed, offsets = content["jpeg"].tobytes(), content["offsets"]
            labels = content["labels"]
        files = (packed[a:b] for a, b in pairwise(offsets))
        images = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
        arrays += [images.transpose(0, 3, 1, 2), labels]
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _load_folder(name: str) -> Split:
    """Train on train/good, test on all of test; colour, 64 pixels a side."""
    parts: dict[str, list[Pixels]] = {"train": [], "test": []}
    is_anomaly = []
    for part, images in parts.items():
        for path in sorted((data_folder() / name / part).rglob("*.*")):
            with Image.open(path) as image:
                small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
            images.append(np.asarray(small).transpose(2, 0, 1))
            if part == "test":
                is_anomaly.append(path.parent.name != "good")
    return Split(np.stack(parts["train"]), np.stack(parts["test"]), np.array(is_anomaly))


def _load_elpv(seed: int) -> Split:
    with np.load(data_folder() / "elpv64" / "elpv64.npz") as content:
        images, defect = content["images"][:, None], content["defect_probability"]
    good = np.random.default_rng(seed).permutation(np.flatnonzero(defect == 0))
    half = len(good) // 2
    test = np.concatenate([good[half:], np.flatnonzero(defect == 1)])
    return Split(images[good[:half]], images[test], defect[test] == 1)
