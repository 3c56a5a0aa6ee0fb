"""What do a likelihood and neighbours say of images unlike CIFAR-10?

The likelihood of a variational autoencoder is known to be *higher* for simple images than for those
it was trained on (Nalisnick et al. 2019). Beside it: its two-sided typicality (Nalisnick et al.
2019b), its correction by input complexity (Serrà et al. 2020), and nearest neighbours on pixels and
on the codes of a plain autoencoder. Each is judged on the images of the study `far`.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lab.figures import mean
from benchmarks.lab.image_sets import Pixels
from benchmarks.lab.markdown import markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Study, every
from benchmarks.lab.unlike import OTHERS, normal_and_others, told_apart
from lampblack import AutoencoderDetector
from lampblack.networks import convolutional_networks

Scores = dict[str, Any]

LATENT, STEPS, BATCH, RATE = 128, 1500, 128, 1e-3
LEVELS = 256
REFERENCE = 5000  # training images among which neighbours are looked for


class VAE:
    """A convolutional variational autoencoder of the default networks, Gaussian of one variance.

    The variance of the pixels is learned, one for all; pixels are dequantised by uniform noise in
    training. Loss: the negative evidence lower bound, in nats an image.
    """

    def __init__(self, train: Pixels, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape: Any = train.shape[1:]
        self.encoder, self.decoder = convolutional_networks(
            shape, width=32, depth=None, latent_dim=2 * LATENT, generator=generator
        )
        _, self.decoder = convolutional_networks(
            shape, width=32, depth=None, latent_dim=LATENT, generator=generator
        )
        self.log_scale = nn.Parameter(torch.tensor(-1.5))
        weights = [*self.encoder.parameters(), *self.decoder.parameters(), self.log_scale]
        optimizer = torch.optim.Adam(weights, lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
        pixels = torch.from_numpy(train)
        for _ in range(STEPS):
            batch = pixels[torch.randint(len(pixels), (BATCH,), generator=generator)].float()
            x = (batch + torch.rand(batch.shape, generator=generator)) / LEVELS
            optimizer.zero_grad()
            self._negative_bound(x, generator).mean().backward()
            optimizer.step()
            schedule.step()
        self.encoder.eval()
        self.decoder.eval()

    def _negative_bound(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """−ELBO (n,) in nats, of pixels in units of a 256th."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        log_variance = log_variance.clamp(-10, 5)
        noise = torch.randn(mean.shape, generator=generator)
        expected = self.decoder(mean + (log_variance / 2).exp() * noise)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
        error = functional.mse_loss(expected, x, reduction="none").flatten(1).sum(dim=1)
        size = x[0].numel()
        constant = size * (self.log_scale + math.log(2 * math.pi) / 2 + math.log(LEVELS))
        return error / (2 * (2 * self.log_scale).exp()) + constant + divergence

    @torch.no_grad()
    def bits(self, images: Pixels) -> Any:
        """−ELBO of images (n,), in bits a pixel value."""
        generator = torch.Generator().manual_seed(0)
        values = [
            self._negative_bound((torch.from_numpy(part).float() + 0.5) / LEVELS, generator)
            for part in np.array_split(images, max(1, len(images) // 256))
        ]
        return torch.cat(values).numpy() / (math.log(2) * images[0].size)


def compressed(images: Pixels) -> Any:
    """Size of images (n,), compressed with zlib after differences along rows: bits a value."""
    rows = np.diff(images, axis=-1, prepend=0).astype(np.uint8)
    sizes = [8 * len(zlib.compress(image.tobytes(), 9)) for image in rows]
    return np.array(sizes) / images[0].size


def likelihood_scores(train: Pixels, seed: int) -> Callable[[Pixels], Scores]:
    """Scores of a VAE: by its likelihood, two-sided, and corrected by complexity."""
    vae = VAE(train, seed)
    usual = float(vae.bits(train[:REFERENCE]).mean())

    def score(images: Pixels) -> Scores:
        bits = vae.bits(images)
        return {
            "likelihood": bits,
            "two-sided typicality": np.abs(bits - usual),
            "corrected by complexity": bits - compressed(images),
        }

    return score


def neighbour_scores(train: Pixels, seed: int) -> Callable[[Pixels], Scores]:
    """Mean distance to the five nearest of some training images: pixels, and codes."""
    detector = AutoencoderDetector(random_state=seed).fit(train)
    some = train[np.random.default_rng(seed).permutation(len(train))[:REFERENCE]]
    views = {
        "pixels": lambda images: images.reshape(len(images), -1) / np.float32(255),
        "codes": detector.encode,
    }
    known = {name: torch.from_numpy(np.asarray(view(some))) for name, view in views.items()}

    def score(images: Pixels) -> Scores:
        found = {}
        for name, view in views.items():
            blocks = torch.from_numpy(np.asarray(view(images))).split(256)
            away = [torch.cdist(block, known[name]).topk(5, largest=False) for block in blocks]
            found[name] = torch.cat([a.values.mean(dim=1) for a in away]).numpy()
        return found

    return score


METHODS = {"VAE": likelihood_scores, "five nearest": neighbour_scores}


def run(_: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, and the AUROC of every score against every kind of image."""
    train, normal, others = normal_and_others(seed)
    started = time.process_time()
    score = METHODS[method](train, seed)
    seconds = round(time.process_time() - started, 1)
    return {"fit_cpu_s": seconds, "auroc": told_apart(score, normal, others)}


def likelihood(rows: Rows) -> str:
    """AUROC of every peer's scores."""
    lines = [
        [
            f"{row['method']}: {score}",
            *(f"{100 * figures[other]:.1f}" for other in OTHERS),
            f"{mean([100 * figures[other] for other in OTHERS]):.1f}",
            f"{row['fit_cpu_s']:.0f}",
        ]
        for row in rows
        for score, figures in row["auroc"].items()
    ]
    columns = ["peer: score", *OTHERS, "mean", "CPU s"]
    return markdown(columns, lines, "Seed 0; `python -m benchmarks likelihood`.")


STUDY = Study(
    "likelihood", Fits(lambda: every(["far"], METHODS), run), blocks={"likelihood": likelihood}
)
