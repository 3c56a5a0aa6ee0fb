"""The benchmark: every detector beside its peers. `python benchmarks/bench.py [SCENARIO ...]`.

Scenarios: tables, one-class-images, out-of-distribution, contaminated, semi-supervised; without
any, all of them. Jobs run in parallel, one thread each; a killed run goes on where it was.

--quick: tables of up to 1,000 rows, seed 0, without the slow peers: a few minutes. --rows N: at
most N rows a table, for all alike (10,000). --seeds N, up to 5: seeds 0 to N − 1 of the tables.
What is not the default goes to a folder of its own beneath benchmarks/results, and not into the
pages. The report is benchmarks/results/report/index.html.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import evidence

SCENARIOS = (
    "tables",
    "one-class-images",
    "out-of-distribution",
    "contaminated",
    "semi-supervised",
)
QUICK_ROWS = 1000


def jobs_of(scenario: str, seeds: int) -> dict[str, list[evidence.Job]]:
    """The jobs of a scenario by part, each of which has a result file of its name."""
    from benchmarks import adversarial, images, likelihood, rays

    if scenario == "tables":
        return {
            "tables": [job for job in evidence.table_jobs() if job[2] < seeds],
            "recommended": evidence.recommended_jobs(),
            "peers": [job for job in evidence.peer_jobs() if job[2] < seeds],
            "more": [job for job in evidence.more_jobs() if job[2] < seeds],
            "rays": rays.jobs(),
        }
    if scenario == "one-class-images":
        return {"images": images.jobs()}
    of_scenario = {
        "out-of-distribution": lambda name: name.startswith("far"),
        "contaminated": lambda name: name.endswith("contaminated"),
        "semi-supervised": lambda name: name.endswith("labelled"),
    }[scenario]
    found = {"adversarial": [job for job in adversarial.jobs() if of_scenario(job[0])]}
    if scenario == "out-of-distribution":
        found["likelihood"] = likelihood.jobs()
    return found


def quick(jobs: list[evidence.Job]) -> list[evidence.Job]:
    """Those of small tables, with seed 0, and no slow peer."""
    from benchmarks import peers, protocol

    small = {
        name
        for name, path in protocol.adbench_sets()
        if len(protocol.load_adbench(path)[0]) <= QUICK_ROWS
    }
    slow = {f"PyOD {name}" for name in peers.SLOW}
    return [job for job in jobs if job[0] in small and job[2] == 0 and job[1] not in slow]


def main() -> None:
    """Run scenarios, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report-only", action="store_true", help="Run nothing.")
    chosen = parser.parse_args()
    results = evidence.RESULTS
    if chosen.rows is not None:
        os.environ["LAMPBLACK_BENCH_ROWS"] = str(chosen.rows)
        results = results / f"rows-{chosen.rows}"
    if chosen.seeds != 5:
        results = results / f"seeds-{chosen.seeds}"
    if chosen.quick:
        results = results / "quick"
    results.mkdir(parents=True, exist_ok=True)
    scenarios = ["tables"] if chosen.quick else chosen.scenarios or list(SCENARIOS)
    if not chosen.report_only:
        for scenario in scenarios:
            for part, jobs in jobs_of(scenario, chosen.seeds).items():
                some = quick(jobs) if chosen.quick else jobs
                print(f"{scenario}: {len(some)} jobs of {part}", file=sys.stderr)
                evidence.run_part(part, some, results / f"{part}.jsonl", chosen.processes)
    from benchmarks import report

    page = report.write(results)
    print(f"{page}: {report.summary(results)}")


if __name__ == "__main__":
    main()
