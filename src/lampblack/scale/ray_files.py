"""The Ray engine of `score_files`: a data set of files, through processes that hold the model."""

from __future__ import annotations

import dataclasses
import pickle
import socket
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lampblack.exceptions import (
    InvalidInput,
    LampblackError,
    Place,
    Remedy,
    Setting,
    is_lack_of_memory,
)
from lampblack.model.device import resolve_device
from lampblack.model.model import Model
from lampblack.scale.partitions import Done, Ledger, Partition, Scoring, finish
from lampblack.scale.session import actor_options, most_workers, ray_session

MOST_DEATHS = 4  # of the processes that score a file: Ray would start them again for ever


class FileScorer:
    """Scores files with a model that is loaded once, in a process of Ray's."""

    def __init__(
        self, model: Any, device: str, scoring: Scoring, ledger: Ledger, asking: str
    ) -> None:
        """model: where Ray keeps the detector. asking: the machine that wants the scores."""
        self._detector = fetched(model, device)
        self._scoring, self._ledger = scoring, ledger
        here = socket.gethostname()
        self._note = None if here == asking else f"on {here}, which must see the same paths"

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score the files of a batch of `parts`; say what became of each.

        An error of this library's is a result too: raised, it would be Ray's, and retried.
        """
        results = [self._finished(part) for part in batch["part"]]
        return {"index": list(batch["index"]), "result": results}

    def _finished(self, part: Partition) -> dict[str, object]:
        try:
            self._ledger.begin(part, MOST_DEATHS)
            return asdict(finish(self._detector, part, self._scoring, self._ledger))
        except LampblackError as error:
            refused = error
        except Exception as error:
            place = Place(part.source)
            if is_lack_of_memory(error):
                fewer = Remedy("give fewer ", Setting("workers"))
                what = "there is not enough memory to score it"
                refused = InvalidInput(what, at=place, remedy=fewer)
            elif isinstance(error, OSError):
                refused = InvalidInput(error.strerror or str(error), at=place)
            else:
                raise
        return {"error": pickle.dumps(refused), "note": self._note}


def fetched(model: Any, device: str) -> Model:
    """The detector that Ray keeps, as this process's own."""
    import copy

    import ray

    kept: Model = ray.get(model)
    where = resolve_device(device)
    return dataclasses.replace(
        kept,
        networks=copy.deepcopy(kept.networks).to(where),
        score=copy.deepcopy(kept.score).to(where),
    )


def score_with_ray(
    detector: Model,
    parts: list[Partition],
    scoring: Scoring,
    ledger: Ledger,
    workers: int | None,
    address: str | None,
    device: str,
) -> Iterator[tuple[Partition, Done]]:
    """Score files in `workers` processes; those that are done, in the order of `parts`."""
    with ray_session(address, workers or 0) as ray:
        workers = workers or most_workers(ray, device)
        context = ray.data.DataContext.get_current()
        ordered = context.execution_options.preserve_order
        # the first bad file is the one that is told
        context.execution_options.preserve_order = True
        try:
            items = [{"index": i, "part": part} for i, part in enumerate(parts)]
            scored = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                FileScorer,
                batch_size=1,
                batch_format="numpy",
                fn_constructor_args=(
                    ray.put(detector),
                    device,
                    scoring,
                    ledger,
                    socket.gethostname(),
                ),
                **actor_options(ray, min(workers, len(parts)), device),
            )
            for row in scored.iter_rows():
                yield parts[row["index"]], _result(row["result"])
        finally:
            context.execution_options.preserve_order = ordered


def _result(told: dict[str, Any]) -> Done:
    if told.get("error") is not None:
        error: LampblackError = pickle.loads(told["error"])
        raise error if told["note"] is None else error.noted(told["note"])
    return Done.of(told)
