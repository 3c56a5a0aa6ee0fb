"""The modules that go into a graph do what encoder and calibration do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lampblack.calibration import Calibration
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.scaling import LIMIT
from lampblack.data.tables.schema import Schema
from lampblack.data.tables.table import to_arrow
from lampblack.export.graph import Decision
from lampblack.export.preprocessing import TablePreprocessing
from lampblack.losses.reconstruction import elementwise_error
from lampblack.losses.similarity import structural_similarity
from tests.conftest import mixed_frame


def awkward_frame() -> pd.DataFrame:
    """Missing, unseen, far, just beyond a constant, and a constant that moves."""
    frame = mixed_frame(n=40, seed=5).drop(columns="at")
    frame.loc[0, "city"] = "Atlantis"
    frame.loc[1, "flow"] = 1e99
    frame.loc[2, "flow"] = -1e12
    frame.loc[3, "mode"] = 3.0 + 1e-15  # what rounding makes of it: no move
    frame.loc[4, "mode"] = 3.0001
    frame.loc[5, "mode"] = -1e90
    return frame


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_features_are_those_of_the_encoder(scaling: str) -> None:
    table = to_arrow(mixed_frame().drop(columns="at"))
    schema = Schema.of_table(table)
    encoder = TableEncoder(schema, scaling).fit(schema.read_table(table))
    rows = schema.read_table(to_arrow(awkward_frame()))
    (levels,) = encoder.levels
    texts = rows.categories[0].to_pylist()
    codes = [levels.index(text) if text in levels else len(levels) for text in texts]
    module = TablePreprocessing(encoder)
    features = module(torch.from_numpy(rows.numbers), torch.tensor(codes)[:, None]).numpy()
    expected = encoder.values(rows)
    assert np.abs(expected).max() == LIMIT
    moved = np.abs(rows.numbers[:, 1] - 3) > 1e-9
    assert moved.sum() == 2
    assert (features[~moved] == expected[~moved]).all()  # bit for bit
    np.testing.assert_allclose(features[moved], expected[moved], rtol=1e-6)
    assert (features[3] == expected[3]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 99, 128, 1000])
def test_decisions_and_p_values_are_those_of_the_calibration(n: int) -> None:
    rng = np.random.default_rng(n)
    known = np.round(rng.normal(size=n), 1)  # many are equal
    calibration = Calibration.held_out(known, 0.5)
    scores = np.concatenate([known, known + 1e-9, [-99.0, 99.0]])
    above, p_values = Decision(calibration)(torch.from_numpy(scores))
    assert (above.numpy() == (scores > calibration.threshold)).all()
    assert (p_values.numpy() == calibration.p_values(scores)).all()


def test_contamination_gives_decisions_alone() -> None:
    calibration = Calibration.contaminated(np.arange(10.0), 0.2)
    (above,) = Decision(calibration)(torch.from_numpy(calibration.scores))
    assert above.sum() == 2


@pytest.mark.parametrize("size", [8, 33])
def test_structural_similarity_is_that_of_torchmetrics(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, noise = (torch.rand(4, 3, size, size, generator=generator) for _ in range(2))
    for b in (noise, 0.9 * a + 0.1 * noise, a, torch.zeros_like(a)):
        ours = ((1 - structural_similarity(a, b)) / 2).clamp(0, 1)
        torch.testing.assert_close(ours, elementwise_error(b, a, "ssim"), rtol=0, atol=1e-6)
