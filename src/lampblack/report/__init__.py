"""What was scored, seen: one page that opens offline, and its figures by themselves."""

from lampblack.report.content import AlarmShown, Expected, ReportContent
from lampblack.report.diagnosis_figures import draw_diagnosis
from lampblack.report.figures import FIGURES, Figure, draw
from lampblack.report.page import page

__all__ = [
    "FIGURES",
    "AlarmShown",
    "Expected",
    "Figure",
    "ReportContent",
    "draw",
    "draw_diagnosis",
    "page",
]
