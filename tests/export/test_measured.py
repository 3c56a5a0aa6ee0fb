"""What docs/portable.md says was measured, by a study that notices a difference."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.lab.markdown import NONE
from benchmarks.lab.results import read
from benchmarks.studies import portable

from tests.export.conftest import Exported


class Shifted:
    """A model whose scores are another's, moved."""

    def __init__(self, model: object, factor: float) -> None:
        self.model, self.factor = model, factor

    def anomaly_score(self, X: object) -> np.ndarray:
        return self.model.anomaly_score(X) * self.factor


def test_comparison_notices_scores_and_decisions_that_differ(of_table: Exported) -> None:
    detector, model, _, samples, _ = of_table
    fine = portable.compared(detector, model, samples)
    assert fine["largest"] < 1e-5
    assert (fine["samples"], fine["otherwise"]) == (150, 0)
    off = portable.compared(detector, Shifted(model, 0.5), samples)
    assert off["largest"] == pytest.approx(0.5, rel=1e-3)
    assert off["otherwise"] > 0


def test_tables_show_the_worst_of_every_detector() -> None:
    made = {"lampblack": "1", "torch": "2", "scikit-learn": "3", "machine": "2 cores", "seed": 0}
    counts = {"samples": 10, "near": 1, "otherwise": 0}
    row = {"method": "Toll", "protocol": "label-free", "onnxruntime": "1", **counts, **made}
    rows = [
        {**row, "set": "4_breastw", "largest": 1e-7},
        {**row, "set": "6_cardio", "largest": 3e-6},
        {**row, "set": "mnist 8", "largest": 2e-7},
    ]
    text = portable.accuracy(rows)
    assert "| Toll, tables | 2 | 20 | 3.0e-06 | 6_cardio | 0 | 2 |" in text
    assert "| Toll, images | 1 | 10 | 2.0e-07 | mnist 8 | 0 | 1 |" in text
    assert portable.accuracy([]) == portable.speed([]) == NONE
    pair = {"torch": 70.0, "onnx": 1.5}
    times = {"set": portable.SPEED[0], "one_ms": pair, "per_s": pair, "start_cpu_s": pair}
    assert "| 70.0 | 1.50 |" in portable.speed([{**row, **times}])


@pytest.mark.skipif(not read("portable"), reason="benchmarks/results/portable.jsonl is due")
def test_portable_models_keep_what_their_page_promises() -> None:
    rows = [row for row in read("portable") if row["set"] not in portable.SPEED]
    tables = {row["set"] for row in rows if row["method"] == "recommended" and "_" in row["set"]}
    assert len(tables) == 28
    assert sum(row["samples"] for row in rows if row["set"] in portable.IMAGE_SETS) >= 1000
    assert all(row["largest"] <= portable.TOLERANCE for row in rows)
    assert not any(row["otherwise"] for row in rows)
