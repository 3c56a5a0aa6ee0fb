"""What docs/scale.md says of many rows is computed from measured rates."""

from __future__ import annotations

from benchmarks import render, render_scale, scale


def rows() -> list[dict[str, object]]:
    """Results of every case: 20,000 rows a second by two workers, 10 steps of training."""
    versions = {"lampblack": "1", "torch": "2", "machine": "2 cores, CPU"}
    figures = {
        "training": {"steps_per_s": 10.0},
        "scoring": {"rows": 10, "rows_per_s": 10_000, "start_s": 1.0, "wall_s": 2.0}
        | {"peak_mib": 1024, "bytes_per_row": 100.0, "score_bytes_per_row": 20.0, "workers": 1},
        "memory": {"bytes_per_row": 600},
    }
    found = [{**case, **figures[case["kind"]], **versions} for case in scale.cases()]
    (both,) = (row for row in found if row["case"] == "Ray, 2 workers")
    both |= {"rows_per_s": 20_000, "workers": 2}
    return found


def test_hours_and_machines_follow_from_the_rate() -> None:
    lines = render_scale.paper(rows()).splitlines()
    # 10⁹ / 20,000 / 3,600 = 13.9 hours; 10¹² a thousand times that, 578.7 days
    assert lines[2] == "| 10⁹ | 0.10 | 0.02 | 13.9 | 1 | 14 | 1.0 |"
    assert lines[3] == "| 10¹² | 100.00 | 20.00 | 13,888.9 | 579 | 13,889 | 1.0 |"
    assert "reads 2 and writes 0.4 MB a second" in lines[-1]
    lines = render_scale.paper_training(rows()).splitlines()
    # 24 and 600 bytes a row; 10 steps of 8,192 rows a second
    assert lines[2] == "| 10⁹ | 22 | 559 | 3.4 | 4 |"
    assert lines[3] == "| 10¹² | 22,352 | 558,794 | 3,390.8 | 3,391 |"


def test_tables_have_a_line_for_every_case() -> None:
    assert "| Ray, 2 workers | 20,000 | 2.00 |" in render_scale.scoring(rows())


def test_nothing_is_said_of_what_was_not_measured() -> None:
    for name in ("scoring", "paper", "paper_training"):
        assert getattr(render_scale, name)([]) == render_scale.NONE


def test_results_are_of_cases_that_the_script_runs() -> None:
    known = {case["set"] for case in scale.cases()}
    assert len(known) == len(scale.cases())
    assert {row["set"] for row in render.read("scale")} <= known
