"""Portable models: a fitted detector as one ONNX file, scored by onnxruntime without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.calibration import Calibration
from lampblack.data.blocks import joined_scores
from lampblack.data.kinds import kind_named
from lampblack.exceptions import MissingExtra, ModelFileError, Place, is_lack_of_memory
from lampblack.explanation import Values
from lampblack.persistence.graph_check import RefusedGraph, check_graph
from lampblack.persistence.portable import PortableFacts, parse_portable, read_portable
from lampblack.results import Decisions

BLOCKS_TOGETHER = 64  # that are prepared at a time: memory does not grow with the table

Feed = dict[str, npt.NDArray[Any]]


def load_portable(path: str | Path, *, threads: int | None = None) -> PortableModel:
    """A fitted detector from the file that `lampblack export` wrote; loads no torch.

    threads: of one call to the graph; None is as many as the machine has cores. Raises
    ModelFileError, in one line, where the file is missing, damaged, newer or foreign.
    """
    content, facts = read_portable(Path(path))
    return PortableModel(content, facts, str(path), threads=threads)


class PortableModel(Decisions):
    """A fitted detector that scores, and does nothing else, through onnxruntime on the CPU.

    It takes what the detector takes and refuses it in the same words. Its scores differ from the
    detector's by what float32 rounds (docs/portable.md has figures). The score of a sample does not
    depend on what is scored beside it; its last bit may depend on the position, since sums start
    where memory is aligned. Several threads may use one model.

    Attributes: detector, the class that was fitted; kind, of data; schema; calibration; reading,
    how the fitted file was written; facts, all that the file holds besides the graph.
    """

    def __init__(
        self, content: bytes, facts: PortableFacts, name: str, *, threads: int | None = None
    ) -> None:
        """content: of the file; name: what messages call it."""
        self.facts = facts
        self.detector = facts.config.detector
        self.schema: Any = facts.config.schema_of_data()
        self.kind = kind_named(facts.config.kind)
        self.calibration = _calibration(facts, name)
        self.reading: Mapping[str, Any] = dict(facts.config.reading)
        self.name = name
        self._session = _session(content, name, threads)

    @classmethod
    def from_bytes(cls, content: bytes, name: str, *, threads: int | None = None) -> PortableModel:
        """A model from the bytes of its file."""
        return cls(content, parse_portable(name, content), name, threads=threads)

    def anomaly_score(self, X: object) -> Values:
        samples = self.kind.check(X, self.schema, self.detector)
        chunks = samples.chunks(BLOCKS_TOGETHER * self._block)
        parts = (self._scored(feed) for chunk in chunks for feed in self._feeds(chunk))
        return joined_scores(len(samples), parts)

    @property
    def _block(self) -> int:
        """How many samples go through the graph at a time.

        Always as many: kernels change with the number, and with them the last bits of a score.
        """
        return self.kind.graph_block(self.schema)

    def _scored(self, feed: Feed) -> Values:
        """The scores (n,) of one block of at most `_block` samples."""
        n = max(len(values) for values in feed.values())
        try:
            (scores,) = self._session.run(["anomaly_score"], self._filled(feed, n))
        except Exception as error:  # onnxruntime's own, of many kinds
            if is_lack_of_memory(error):
                raise
            raise _unfit(self.name, error) from None
        if scores.shape != (self._block,):
            what = f"gives scores of shape {scores.shape} for {self._block} samples"
            raise ModelFileError.of(self.name, what)
        return np.asarray(scores[:n], dtype=np.float64)

    def _filled(self, feed: Feed, n: int) -> Feed:
        """A feed of n samples with as many more behind them as make a block."""
        if n == self._block:
            return feed
        more = self._block - n
        return {
            name: values
            if name == "white"
            else np.concatenate([values, np.repeat(values[-1:], more, axis=0)])
            for name, values in feed.items()
        }

    def _feeds(self, samples: Any) -> Iterator[Feed]:
        """The graph's inputs, block by block."""
        texts = self.facts.categories
        whole = self.kind.graph_inputs(
            self.schema,
            samples,
            None if texts is None else (texts.missing, texts.other),
            self.facts.cycles,
        )
        for start in range(0, len(samples), self._block):
            yield {
                name: values if name == "white" else values[start : start + self._block]
                for name, values in whole.items()
            }

    @property
    def _calibration(self) -> Calibration:
        return self.calibration


def _calibration(facts: PortableFacts, name: str) -> Calibration:
    try:
        scores = np.array(facts.calibration_scores, np.float64)
        return Calibration.restored(scores, **facts.config.calibration.model_dump())
    except ValueError as error:
        raise ModelFileError(str(error), at=Place(name)) from None


def _session(content: bytes, name: str, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        what = f"{name} is scored by onnxruntime"
        raise MissingExtra(what, extra="onnx", library="onnxruntime") from None
    try:
        check_graph(content)
    except RefusedGraph as error:
        what = f"holds {error}, which is in no graph that lampblack exports"
        raise ModelFileError.of(name, what) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of many kinds
        raise _unfit(name, error) from None


def _unfit(name: str, error: Exception) -> ModelFileError:
    reason = " ".join(str(error).split())[:300]
    return ModelFileError.of(name, f"cannot be run by this onnxruntime: {reason}")
