"""What docs/scale.md says of many rows is computed from measured rates."""

from __future__ import annotations

import pytest
from benchmarks.lab.markdown import NONE
from benchmarks.lab.results import read
from benchmarks.lab.study import Study
from benchmarks.studies import large_fits, scale

CASES = [*scale.cases(), *large_fits.cases()]


def rows() -> list[dict[str, object]]:
    """Results of every case: 20,000 rows a second by two workers, 10 steps of training."""
    versions = {"lampblack": "1", "torch": "2", "machine": "2 cores, CPU"}
    figures = {
        "training": {"steps_per_s": 10.0},
        "scoring": {"rows": 10, "rows_per_s": 10_000, "start_s": 1.0, "wall_s": 2.0}
        | {"peak_mib": 1024, "bytes_per_row": 100.0, "score_bytes_per_row": 20.0, "workers": 1},
        "memory": {"bytes_per_row": 600},
    }
    found = [{**case, **figures[case["kind"]], **versions} for case in CASES]
    (both,) = (row for row in found if row["case"] == "Ray, 2 workers")
    both |= {"rows_per_s": 20_000, "workers": 2}
    return found


def test_hours_and_machines_follow_from_the_rate() -> None:
    lines = scale.paper(rows()).splitlines()
    # 10⁹ / 20,000 / 3,600 = 13.9 hours; 10¹² a thousand times that, 578.7 days
    assert lines[2] == "| 10⁹ | 0.10 | 0.02 | 13.9 | 1 | 14 | 1.0 |"
    assert lines[3] == "| 10¹² | 100.00 | 20.00 | 13,888.9 | 579 | 13,889 | 1.0 |"
    assert "reads 2 and writes 0.4 MB a second" in lines[-1]
    lines = large_fits.paper_training(rows()).splitlines()
    # 24 and 600 bytes a row; 10 steps of 8,192 rows a second
    assert lines[2] == "| 10⁹ | 22 | 559 | 3.4 | 4 |"
    assert lines[3] == "| 10¹² | 22,352 | 558,794 | 3,390.8 | 3,391 |"


def test_tables_have_a_line_for_every_case() -> None:
    assert "| Ray, 2 workers | 20,000 | 2.00 |" in scale.scoring(rows())


@pytest.mark.parametrize("study", [scale.STUDY, large_fits.STUDY], ids=["scale", "large-fits"])
def test_nothing_is_said_of_what_was_not_measured(study: Study) -> None:
    assert all(block([]) == NONE for block in study.blocks.values())


def test_results_are_of_cases_that_the_studies_run() -> None:
    known = {case["set"] for case in CASES}
    assert len(known) == len(CASES)
    assert {row["set"] for row in read("scale")} <= known
