"""`lampblack demo`: benign tumours are normal; which of the others are flagged, and why?"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import typer

from lampblack.cli.alarms import Alarms
from lampblack.cli.tables import PRESENTATION
from lampblack.data.source import Batch
from lampblack.detectors.registry import recommended
from lampblack.evaluation import evaluate
from lampblack.number_text import duration, number, percent
from lampblack.persistence import check_target
from lampblack.results import score_rows

TRAINED_ROWS = 250
BENIGN = 1


def run(output: Path) -> None:
    """Fit to 250 benign rows of scikit-learn's breast cancer table and score all others."""
    from sklearn.datasets import load_breast_cancer

    check_target(output)
    started = time.perf_counter()
    data = load_breast_cancer()
    table = pa.table({str(n): data.data[:, i] for i, n in enumerate(data.feature_names)})
    shuffled = np.random.default_rng(0).permutation(len(data.target))
    benign = shuffled[data.target[shuffled] == BENIGN]
    fitted, rest = np.sort(benign[:TRAINED_ROWS]), np.setdiff1d(shuffled, benign[:TRAINED_ROWS])

    detector = recommended(verbose=True).fit(table.take(fitted))
    model = detector.model_
    facts = model.calibration
    typer.echo(
        f"fitted to {TRAINED_ROWS} benign rows: {detector.rows_['train']} to train, "
        f"{detector.rows_['calibration']} to calibrate"
    )
    typer.echo(
        f"threshold {number(facts.threshold)}: at most {percent(facts.promised)} of new benign "
        "rows raise an alarm, in expectation"
    )
    others = table.take(rest)
    scored = score_rows(model, others)
    alarms = Alarms("row")
    alarms.add(Batch(others, others, pa.array(rest), rest), scored)
    truth = data.target[rest] != BENIGN
    result = evaluate(scored.anomaly_score, scored.alarm, truth, facts)
    typer.echo(
        f"the other {len(rest)} rows, {truth.sum()} malignant: AUROC {result['auroc']:.4f}; "
        f"{percent(result['recall_at_threshold'], 1)} of the malignant and "
        f"{percent(result['false_alarm_rate'])} of the benign rows raise an alarm"
    )
    alarms.print(model, PRESENTATION, "row")
    detector.save(output)
    typer.echo(f"saved {output} after {duration(time.perf_counter() - started)}; next:")
    typer.echo(f"  lampblack info {output}")
