"""Scoring many files, or a Ray Data set, in this process or in many: see docs/scale.md.

`score_files` turns files into a folder of scores, one file each, and goes on where it was killed;
its engine is this process, or Ray. `score_dataset` adds scores to a `ray.data.Dataset`. Ray is
imported when it is used.
"""

from __future__ import annotations

from lampblack.data.file_names import find_files
from lampblack.scale.dataset import score_dataset
from lampblack.scale.partitions import Scoring
from lampblack.scale.runs import Outcome, score_files

__all__ = ["Outcome", "Scoring", "find_files", "score_dataset", "score_files"]
