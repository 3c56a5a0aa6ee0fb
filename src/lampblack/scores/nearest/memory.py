"""Remembered normal samples, and the search for those nearest to a new one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lampblack.scores.nearest.views import AsEncoded, ByRange, ByRank, View

ROUNDING = 4 * torch.finfo(torch.float32).eps  # relative difference that counts as none
SPARE = 8  # candidates beyond the nearest that are asked for
GROUP = 10  # values of which the largest stands for all, in the search for the largest of many
TOGETHER = 64  # rows searched for at a time: their products with 10,000 samples stay in a cache
CANDIDATES = 1 << 17  # values of candidates that are compared at a time: 512 KiB
LONGEST_SIDE = 16  # pixels at which images are compared


class Memory(nn.Module):
    """Samples to which new ones are compared, in one view or several.

    A row is remembered as it is encoded, and compared in three views: as it is, by range and by
    rank (`scores/nearest/views.py`). An image is averaged over squares of pixels so that its longer
    side is 16 at most, and compared as that. Filled after training: `samples` (n, width), and what
    the views learn of them.
    """

    samples: Tensor

    def __init__(self, shape: tuple[int, ...], numbers: Tensor | None = None) -> None:
        """shape: of one sample. numbers: which features of a table (width,) are; None: all."""
        super().__init__()
        self.factor = 1 if len(shape) == 1 else math.ceil(max(shape[1:]) / LONGEST_SIDE)
        width = self.compared(torch.zeros(1, *shape)).shape[1]
        views: list[View] = [AsEncoded()]
        if len(shape) == 1:
            numbers = torch.ones(width, dtype=torch.bool) if numbers is None else numbers
            views += [ByRange(numbers.clone()), ByRank(numbers.clone())]
        self.views = nn.ModuleList(views)
        self.register_buffer("samples", torch.zeros(0, width))
        self._seen: list[Remembered] = []

    def learn_views(self) -> None:
        """Let the views learn from what is remembered."""
        for view in self.views:
            view.learn(self.samples)  # type: ignore[operator]
        self._seen = []

    def remember(self, batches: Iterable[Tensor]) -> None:
        """Keep these samples (n, ...), in place of any others."""
        self.samples = torch.cat([self.samples[:0], *(self.compared(batch) for batch in batches)])
        self._seen = []

    def compared(self, x: Tensor) -> Tensor:
        """What of samples (n, ...) is compared: (n, width)."""
        if self.factor > 1:
            x = functional.avg_pool2d(x, self.factor, ceil_mode=True, count_include_pad=False)
        return x.flatten(start_dim=1)

    def spread(self, parts: Tensor, like: Tensor) -> Tensor:
        """Parts (n, width) of compared elements, dealt out over the elements they average."""
        if self.factor == 1:
            return parts.reshape(like.shape)
        height, width = like.shape[-2:]
        rows = torch.arange(height, device=parts.device) // self.factor
        columns = torch.arange(width, device=parts.device) // self.factor
        share = 1.0 / (rows.bincount()[rows][:, None] * columns.bincount()[columns][None])
        cells = parts.reshape(len(parts), like.shape[1], int(rows[-1]) + 1, int(columns[-1]) + 1)
        return cells[:, :, rows][:, :, :, columns] * share

    def see(self) -> None:
        """Look at what is remembered through every view, once for all that follows."""
        if not self._seen or self._seen[0].samples.device != self.samples.device:
            self._seen = [Remembered(view(self.samples)) for view in self.views]

    def nearest(self, compared: Tensor, k: int, equal: int = 1) -> list[Tensor]:
        """Squared differences (n, k, width) to the nearest remembered samples, view by view.

        See `Remembered.nearest`.
        """
        self.see()
        found = []
        for view, remembered in zip(self.views, self._seen, strict=True):
            shown = view(compared)
            found.append((shown[:, None] - remembered.nearest(shown, k, equal)).square())
        return found

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled or copied: not what the search holds, three times the memory."""
        return {**self.__dict__, "_seen": []}

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make room for as many samples as are to be loaded."""
        stored = state_dict.get(prefix + "samples")
        if stored is not None:
            self.samples = self.samples.new_zeros(len(stored), *self.samples.shape[1:])
        self._seen = []
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class Remembered:
    """Samples (m, width) to search, with halved squared distances from their centre.

    −½‖x − m‖², but for what is the same for every m, is the product of (x, 1) and (m, −½‖m‖²): one
    matrix product, where a sum beside it would take another pass over all of its values.
    """

    def __init__(self, samples: Tensor) -> None:
        self.samples = samples
        self.centre = samples.mean(dim=0)
        centred = samples - self.centre
        minus_half_squares = -centred.square().sum(dim=1) / 2
        self.across = torch.cat([centred.T, minus_half_squares[None]])  # (width + 1, m)

    def nearest(self, asked: Tensor, k: int, equal: int) -> Tensor:
        """The k nearest samples (n, k, width), nearest first; fewer where there are few.

        equal: so many samples at most that equal the one asked for, up to the rounding of other
        engines that run the same operations, are left out. Candidates are found by one matrix
        product, whose rounding hides what is small beside the samples' distance from their centre;
        among a few more than are needed, exact distances decide.
        """
        k = min(k, max(1, len(self.samples) - 2))
        some = min(k + SPARE, len(self.samples))
        centred = functional.pad(asked - self.centre, (0, 1), value=1.0)
        found = self._closest(centred, some)
        if torch.compiler.is_exporting():  # in a graph for any number of rows
            return self._nearest_of(asked, found, k, equal)
        rows = max(_together(asked), CANDIDATES // (some * asked.shape[1]))
        pieces = zip(torch.split(asked, rows), torch.split(found, rows), strict=True)
        return torch.cat([self._nearest_of(*piece, k, equal) for piece in pieces])

    def _nearest_of(self, asked: Tensor, found: Tensor, k: int, equal: int) -> Tensor:
        """The k nearest (n, k, width) of the samples at these positions (n, some)."""
        some = found.shape[1]
        candidates = functional.embedding(found, self.samples)  # indexing takes three times as long
        squares = (asked[:, None] - candidates).square().sum(dim=2)
        squares, order = squares.sort(dim=1, stable=True)
        rounding = (ROUNDING * asked).square().sum(dim=1, keepdim=True)
        first = (squares[:, : min(equal, some - k)] <= rounding).sum(dim=1, keepdim=True)
        wanted = order.gather(1, first + torch.arange(k, device=order.device))
        return candidates.gather(1, wanted[:, :, None].expand(-1, -1, candidates.shape[2]))

    def _closest(self, centred: Tensor, some: int) -> Tensor:
        """Positions (n, some) of the samples closest to these (n, width + 1), by the product."""
        if torch.compiler.is_exporting():  # in a graph for any number of rows
            return torch.mm(centred, self.across).topk(some, dim=1).indices
        together = _together(centred)
        product = centred.new_empty(together, len(self.samples))  # one for all: new memory is slow
        return torch.cat(
            [
                _largest(torch.mm(rows, self.across, out=product[: len(rows)]), some)
                for rows in torch.split(centred, together)
            ]
        )


def _together(rows: Tensor) -> int:
    """How many rows to search for at a time: a GPU takes all at once."""
    return TOGETHER if rows.device.type == "cpu" else max(1, len(rows))


def _largest(values: Tensor, some: int) -> Tensor:
    """Positions (n, some) of the largest values of each row (n, m), in any order.

    They are members of the `some` groups whose largest member is largest, and those groups are
    found in the same way: of 10,000 values 100 are looked through, then 130, then 130.
    """
    groups = values.shape[1] // GROUP
    if groups <= some:
        return values.topk(some, dim=1, sorted=False).indices
    # group g has the members g, g + groups, ...: maxima run over whole rows of memory
    grouped = GROUP * groups
    best = _largest(values[:, :grouped].view(-1, GROUP, groups).amax(dim=1), some)
    members = (best[:, :, None] + groups * torch.arange(GROUP, device=values.device)).flatten(1)
    if grouped < values.shape[1]:
        left_over = torch.arange(grouped, values.shape[1], device=values.device)
        members = torch.cat([members, left_over.expand(len(values), -1)], dim=1)
    found = values.gather(1, members).topk(some, dim=1, sorted=False).indices
    return members.gather(1, found)
