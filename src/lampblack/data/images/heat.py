"""Maps of what answers for a score, as colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# From cold to hot; lightness rises evenly, so that it reads in print and for the colour-blind.
COLOURS = np.array(
    [[5, 5, 20], [60, 15, 100], [140, 35, 105], [215, 70, 60], [250, 150, 25], [250, 250, 165]]
)


def peak(blame: npt.NDArray[np.float64]) -> float:
    """The highest of the 99 % quantiles of each of some maps (n, h, w): the top of their scale."""
    by_image = np.quantile(blame.reshape(len(blame), -1), 0.99, axis=1)
    return float(by_image.max(initial=0.0))


def coloured(blame: npt.NDArray[np.floating], top: float) -> npt.NDArray[np.uint8]:
    """A map (h, w) as colours (h, w, 3), 0 to `top`."""
    level = np.clip(blame / top if top else blame * 0, 0, 1) * (len(COLOURS) - 1)
    marks = np.arange(len(COLOURS))
    channels = [np.interp(level, marks, COLOURS[:, c]) for c in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)).astype(np.uint8))
