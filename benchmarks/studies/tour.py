"""What do the commands print on a table?

The README's tour: two made-up files, the second with a leak and an unknown site.
"""

from __future__ import annotations

from benchmarks.lab.sessions import made_by, session

COMMANDS = """
lampblack fit normal.csv -o pump.model
lampblack score pump.model today.csv --id part --exclude verdict
lampblack score pump.model today.csv --id part --exclude verdict --explain 2 -o scores.parquet
lampblack evaluate pump.model today.csv --label verdict --anomaly leak --exclude part
"""
PUMP = """
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)


def shift(n, start):
    at = pd.Timestamp(start) + pd.to_timedelta(np.arange(n) * 17, "min")
    site = rng.choice(["Bern", "Oslo", "Rome"], n, p=[0.5, 0.3, 0.2])
    flow = rng.normal(12.0, 2.0, n)
    pressure = 0.4 * flow + rng.normal(0.0, 0.1, n) + (site == "Oslo")
    frame = pd.DataFrame({"at": at, "site": site, "flow": flow, "pressure": pressure})
    frame["valve"] = rng.random(n) > 0.5
    frame.loc[rng.random(n) < 0.05, "flow"] = np.nan
    return frame.round({"flow": 3, "pressure": 3})


shift(2000, "2026-01-01").to_csv("normal.csv", index=False)
today = shift(300, "2026-03-01")
today["part"] = [f"p{i}" for i in range(300)]
today["verdict"] = "fine"
today.loc[[40, 41, 42, 200], "pressure"] -= 1.5
today.loc[[40, 41, 42, 200], "verdict"] = "leak"
today.loc[250, ["site", "verdict"]] = ["Atlantis", "leak"]
today.to_csv("today.csv", index=False)
"""

STUDY = session("tour", COMMANDS, made_by(PUMP))
