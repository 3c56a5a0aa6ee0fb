"""What do the commands say on KDD Cup 99 as it is?

KDD Cup 99 from the shell; the rare "normal." rows are the anomalies, as in the papers.
"""

from __future__ import annotations

from benchmarks.lab.sessions import of_data, session

COMMANDS = """
lampblack fit kddcup.data_10_percent.gz --no-header --where "c42 != 'normal.'" --exclude c42 \
-o attacks.model
lampblack evaluate attacks.model corrected.gz --label c42 --anomaly normal.
lampblack score attacks.model corrected.gz --explain 2 -o scores.parquet
"""

STUDY = session("kdd", COMMANDS, of_data("kddcup99"))
