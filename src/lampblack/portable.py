"""Portable models: a fitted detector as one ONNX file, scored by onnxruntime without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.calibration import Calibration, DecisionsMixin
from lampblack.data.checking import check_samples, joined_scores
from lampblack.data.images.schema import ImageSchema, to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.data.tables.inputs import as_matrix
from lampblack.data.tables.schema import Rows, Schema
from lampblack.exceptions import MissingExtra, ModelFileError, Place
from lampblack.persistence.portable import PortableFacts, parse_portable, read_portable

ROWS = 32  # of a table that go through the graph at a time
IMAGES, PIXELS = 8, 1 << 18  # images at a time, and values of them at most
CHUNK = 64  # blocks that are prepared at a time: memory does not grow with the table

Values = npt.NDArray[np.float64]
Feed = dict[str, npt.NDArray[Any]]


def load_portable(path: str | Path, *, threads: int | None = None) -> PortableModel:
    """A fitted detector from the file that `lampblack export` wrote; loads no torch.

    threads: of one call to the graph; None is as many as the machine has cores. Raises
    ModelFileError, in one line, where the file is missing, damaged, newer or foreign.
    """
    content, facts = read_portable(Path(path))
    return PortableModel(content, facts, str(path), threads=threads)


class PortableModel(DecisionsMixin):
    """A fitted detector that scores, and does nothing else, through onnxruntime on the CPU.

    It takes what the detector takes and refuses it in the same words. Its scores differ from the
    detector's by what float32 rounds (docs/portable.md has figures). The score of a sample does not
    depend on what is scored beside it; its last bit may depend on the position, since sums start
    where memory is aligned. Several threads may use one model.

    Attributes: detector, the class that was fitted; schema_, Schema or ImageSchema; calibration_;
    offset_; false_alarm_rate_ (NaN under `contamination`); reading_, how the fitted file was
    written; facts_, all that the file holds besides the graph.
    """

    def __init__(
        self, content: bytes, facts: PortableFacts, name: str, *, threads: int | None = None
    ) -> None:
        """content: of the file; name: what messages call it."""
        self.facts_ = facts
        self.detector = facts.config.detector
        schema = facts.config.table if facts.config.images is None else facts.config.images
        assert schema is not None
        self.schema_: Schema | ImageSchema = schema
        self.calibration_ = _calibration(facts, name)
        self.offset_ = -self.calibration_.threshold
        self.reading_: Mapping[str, Any] = dict(facts.config.reading)
        self._session = _session(content, name, threads)

    @classmethod
    def from_bytes(cls, content: bytes, name: str, *, threads: int | None = None) -> PortableModel:
        """A model from the bytes of its file."""
        return cls(content, parse_portable(name, content), name, threads=threads)

    def anomaly_score(self, X: Any) -> Values:
        """How anomalous each sample is (n,), higher for more; finite and non-negative."""
        table: Any = self.schema_  # asked only where it is one
        as_array = partial(as_matrix, schema=table, name=self.detector)
        samples = check_samples(X, self.schema_, self.detector, as_array)
        chunks = samples.chunks(CHUNK * self._block if isinstance(samples, Rows) else 64)
        parts = (self._scored(feed) for chunk in chunks for feed in self._feeds(chunk))
        return joined_scores(len(samples), parts)

    @property
    def _block(self) -> int:
        """How many samples go through the graph at a time.

        Always as many: kernels change with the number, and with them the last bits of a score.
        """
        if isinstance(self.schema_, Schema):
            return ROWS
        return min(IMAGES, max(1, PIXELS // math.prod(self.schema_.shape)))

    def _scored(self, feed: Feed) -> Values:
        """The scores (n,) of one block of at most `_block` samples."""
        n = max(len(values) for values in feed.values())
        (scores,) = self._session.run(["anomaly_score"], self._filled(feed, n))
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

    def _feeds(self, samples: Rows | ArrayImages) -> Iterator[Feed]:
        """The graph's inputs, block by block."""
        whole = self._of_rows(samples) if isinstance(samples, Rows) else _of_images(samples)
        for start in range(0, len(samples), self._block):
            yield {
                name: values if name == "white" else values[start : start + self._block]
                for name, values in whole.items()
            }

    def _of_rows(self, rows: Rows) -> Feed:
        feed: Feed = {"numbers": rows.numbers} if rows.numbers.shape[1] else {}
        texts = self.facts_.categories
        if texts is not None:
            columns = [_texts(v, texts.missing, texts.other) for v in rows.categories]
            feed["categories"] = np.stack(columns, axis=1)
        return feed


def _texts(values: pa.Array, missing: str, other: str) -> npt.NDArray[np.object_]:
    """A category column as text (n,), `missing` where a value is; such a text itself is `other`."""
    known = pc.if_else(pc.equal(values, missing), other, values)
    return np.asarray(known.fill_null(missing).to_numpy(zero_copy_only=False), dtype=object)


def _of_images(images: ArrayImages) -> Feed:
    """Images as float32, not yet brought to [0, 1], and the value of white."""
    values = images.values
    white = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(values.dtype)
    if white is None:
        return {"images": to_unit(values), "white": np.ones(1, np.float32)}
    return {"images": values.astype(np.float32), "white": np.array([white], np.float32)}


def _calibration(facts: PortableFacts, name: str) -> Calibration:
    told = facts.config.calibration
    scores = np.array(facts.calibration_scores, dtype=np.float64)
    ordered = np.isfinite(scores).all() and (np.diff(scores) >= 0).all()
    if not ordered or told.threshold not in scores:
        raise ModelFileError(
            "the calibration scores are not ascending or lack the threshold", at=Place(name)
        )
    return Calibration(scores, told.origin, told.requested, told.promised, told.threshold)


def _session(content: bytes, name: str, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        what = f"{name} is scored by onnxruntime"
        raise MissingExtra(what, extra="onnx", library="onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of many kinds
        reason = " ".join(str(error).split())[:300]
        what = f"{name} cannot be run by this onnxruntime: {reason}"
        raise ModelFileError(what, names=Place(name)) from None
