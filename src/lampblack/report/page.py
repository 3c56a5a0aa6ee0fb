"""The report as one HTML page: nothing is loaded from anywhere."""

from __future__ import annotations

import base64
from datetime import datetime
from importlib.resources import files

from lampblack.number_text import count, number, percent
from lampblack.report.content import ReportContent
from lampblack.report.diagnosis_figures import draw_diagnosis
from lampblack.report.figures import draw

SURE = 0.01  # p-value below which drift is spoken of


def page(content: ReportContent, *, made: datetime) -> str:
    """The page; `made` stands in its foot."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("page.html").read_text("utf-8"))
    return template.render(
        content=content,
        number=number,
        count=count,
        percent=percent,
        figures=draw(content),
        diagnosed={} if content.diagnosis is None else draw_diagnosis(content.diagnosis),
        left_out={} if content.diagnosis is None else content.diagnosis.left_out,
        judged=content.judged,
        confusion=content.confusion,
        drift=_drift(content),
        pictures=[_picture(alarm.picture) for alarm in content.alarms],
        made=made.strftime("%Y-%m-%d %H:%M"),
    )


def _picture(png: bytes | None) -> str:
    return "" if png is None else "data:image/png;base64," + base64.b64encode(png).decode()


def _drift(content: ReportContent) -> str:
    """Whether these scores differ from the calibration's, in a sentence or two."""
    if content.drift is None:
        return "The model holds no scores of held-out samples, so drift cannot be told."
    statistic, p = content.drift
    facts = (
        f"Kolmogorov-Smirnov test of these scores against the calibration's: largest distance of "
        f"the distributions {statistic:.3f}, p = {number(p)}."
    )
    if p >= SURE and content.broken:
        return (
            f"{facts} The scores as a whole do not differ; those of normal {content.what} alone do "
            "where it matters, above the threshold: the promise is broken, as said above."
        )
    if p >= SURE:
        return f"{facts} No drift shows."
    return (
        f"{facts} They differ. If most of these {content.what} should be normal, the process has "
        "moved since calibration, and the promised rate may not hold: recalibrate on recent normal "
        f"{content.what} (lampblack calibrate), or fit again. Many anomalies make a difference too."
    )
