"""`lampblack report` and `plot`: what the page says, that it stands alone, and that it works."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import ks_2samp
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from tests.conftest import discs

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and rows with a date, a category, a hole, an id, and labels."""
    place = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)

    def rows(n: int) -> pd.DataFrame:
        flow = rng.normal(10, 2, n)
        frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=n, freq="h")})
        frame["site"] = rng.choice(["Bern", "Oslo <b>&"], n)
        frame["flow"] = np.where(rng.random(n) < 0.1, np.nan, flow)
        frame["pressure"] = 0.5 * flow + rng.normal(0, 0.1, n)
        return frame.round({"flow": 3, "pressure": 3})

    rows(700).to_csv(place / "normal.csv", index=False)
    new = rows(120)
    new["part"] = [f"p{i}" for i in range(120)]
    new["state"] = "fine"
    new.loc[[5, 60, 61], "pressure"] += 30
    new.loc[[5, 60, 61], "state"] = "leak"
    new.to_csv(place / "new.csv", index=False)
    run("fit", place / "normal.csv", "-o", place / "a.model", "--steps", "60", "-q")
    return place


def run(*arguments: object) -> Any:
    finished = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert finished.exit_code == 0, finished.output
    return finished


def refused(*arguments: object) -> str:
    finished = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert finished.exit_code == 2, finished.output
    return finished.output


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    output = folder / "report.html"
    options = ("--id", "part", "--label", "state", "--anomaly", "leak", "-q")
    run("report", folder / "a.model", folder / "new.csv", "-o", output, *options)
    return output.read_text()


def test_page_loads_nothing_and_is_well_formed(page: str) -> None:
    outside = re.findall(r"""(?:src|href)=["'](?!data:|#)([^"']+)""", page)
    assert not outside
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)

    class Balanced(HTMLParser):
        void = ("meta", "link", "br", "img", "input", "hr")
        opened: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in self.void:
                self.opened.append(tag)

        def handle_startendtag(self, tag: str, attrs: Any) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.opened.pop() == tag

    parser = Balanced()
    parser.feed(page)
    assert not parser.opened


def test_page_names_alarms_and_escapes_what_the_data_hold(page: str) -> None:
    for key in ("p5", "p60", "p61"):
        assert f'data-value="{key}"' in page
    assert "<b>&" not in page.replace("&lt;b&gt;&amp;", "")
    assert page.count("<svg") >= 5
    assert page.count('role="img" aria-label="') == page.count("<svg")


def test_numbers_are_those_of_the_scores(folder: Path) -> None:
    options = ["--label", "state", "--anomaly", "leak", "--exclude", "part", "-q", "--json"]
    options.append("--no-diagnose")
    data = folder / "new.csv"
    output = run("report", folder / "a.model", data, "-o", folder / "b.html", *options).output
    found = json.loads(output)
    detector = lampblack.load(folder / "a.model")
    frame = pd.read_csv(data, parse_dates=["at"])
    scores = detector.anomaly_score(frame.drop(columns=["part", "state"]))
    assert found["scored"] == 120
    assert found["alarms"] == int((scores > detector.calibration_.threshold).sum())
    drift = ks_2samp(detector.calibration_.scores, scores)
    assert found["drift"]["p_value"] == pytest.approx(drift.pvalue, rel=1e-3)
    assert found["confusion"]["anomaly"]["alarm"] == 3
    assert found["judged"]["auroc"] == 1.0


def test_drift_is_spoken_of_only_where_there_is_some(folder: Path, page: str) -> None:
    assert "No drift shows" in page
    frame = pd.read_csv(folder / "normal.csv")
    frame["pressure"] += 0.5
    frame.to_csv(folder / "moved.csv", index=False)
    moved = ("-o", folder / "moved.html", "-q", "--no-diagnose")
    run("report", folder / "a.model", folder / "moved.csv", *moved)
    assert "the process has moved" in " ".join((folder / "moved.html").read_text().split())


def test_without_alarms_or_labels_the_page_says_so(folder: Path) -> None:
    detector = lampblack.load(folder / "a.model")
    frame = pd.read_csv(folder / "normal.csv", parse_dates=["at"])
    quiet = frame[detector.anomaly_score(frame) < detector.calibration_.threshold / 2].head(50)
    quiet.to_csv(folder / "quiet.csv", index=False)
    quietly = ("-o", folder / "quiet.html", "-q", "--no-diagnose")
    run("report", folder / "a.model", folder / "quiet.csv", *quietly)
    page = (folder / "quiet.html").read_text()
    assert "no score is above the threshold" in page
    assert "Highest scores</h2>" in page
    assert "These come nearest to it:" in page
    assert page.count("<details><summary>") == 3
    assert "of the score of the" not in page  # nothing is said of alarms that are not there
    assert "alarms below" not in page
    assert "Scores over time</h2>" in page
    assert "Alarms over time" not in page
    assert "an alarm</text>" not in page
    assert "none of them above the threshold" in page
    said = run("score", folder / "a.model", folder / "quiet.csv").stdout
    assert "no alarm; 3 highest scores" in said
    assert said.count("normal") == 3
    command = (
        "score",
        folder / "a.model",
        folder / "new.csv",
        "--exclude",
        "state",
        "--id",
        "part",
    )
    said = run(*command, "--top", 5, "-o", folder / "top.csv").stdout
    assert "5 highest scores" in said
    assert (said.count("│ anomaly"), said.count("│ normal")) == (3, 2)
    assert len((folder / "top.csv").read_text().splitlines()) == 121
    assert "--top shows on the screen" in refused(*command, "--top", 5, "-o", "-")
    assert "Against the labels" not in page


def test_odd_names_and_dates_do_not_break_the_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 2)), columns=["$a_b_c$", "price ($) per x_y_z ($)"])
    frame["at"] = pd.date_range("2026-01-01", periods=300, freq="h").astype(str)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    model = tmp_path / "m.model"
    run("fit", tmp_path / "rows.csv", "-o", model, "--steps", "20", "-q")
    frame.loc[3, "at"] = "9999-12-31 00:00:00"
    frame.loc[5, "$a_b_c$"] = 50
    frame["label"] = "fine"
    frame.to_csv(tmp_path / "new.csv", index=False)
    options = ("--label", "label", "--normal", "fine", "-q", "--no-diagnose")
    run("report", model, tmp_path / "new.csv", "-o", tmp_path / "r.html", *options)
    page = (tmp_path / "r.html").read_text()
    assert "Alarms in order" in page
    assert "$a_b_c$" in page
    assert "all are normal" in page


def test_without_a_promise_there_is_no_drift(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "c.model"
    data = folder / "normal.csv"
    run("fit", data, "-o", model, "--steps", "20", "-q", "--contamination", "0.1")
    options = ("-o", tmp_path / "r.html", "--json", "-q", "--no-diagnose")
    found = json.loads(run("report", model, data, *options).output)
    assert found["drift"] is None
    assert found["promised"] is None
    assert "drift cannot be told" in (tmp_path / "r.html").read_text()


def test_a_page_of_many_rows_stays_small(folder: Path) -> None:
    detector = lampblack.load(folder / "a.model")
    from datetime import datetime

    from lampblack.diagnostics import diagnose
    from lampblack.report import ReportContent, page

    scores = np.random.default_rng(0).lognormal(0, 0.5, 1_000_000)
    rows = pd.read_csv(folder / "normal.csv", parse_dates=["at"])
    content = ReportContent(
        model="m",
        data="d",
        what="rows",
        facts={},
        promise="",
        scores=scores,
        calibration=detector.calibration_,
        alarms=[],
        history=detector.history_,
        truth=scores > 3,
        diagnosis=diagnose(detector, rows.loc[np.arange(2000) % len(rows)], anomalies=rows),
        looked_at="so many",
    )
    assert len(page(content, made=datetime(2026, 1, 1))) < 6e6


def test_figures_of_the_diagnosis_are_those_of_the_command(folder: Path, page: str) -> None:
    assert 'id="diagnosis"' in page
    assert "Drawn of 117 rows here that are normal by the labels, beside 3 that" in page
    assert ("The critic" in page, "Left out" in page) == (False, False)
    options = ("--label", "state", "--anomaly", "leak", "--exclude", "part", "-q", "--json")
    model, data = folder / "a.model", folder / "new.csv"
    run("diagnose", model, data, "-o", folder / "d", "--format", "svg", *options)
    number = re.compile(r"largest eigenvalue of its Hessian ([\d.e+-]+), trace")
    told = json.loads((folder / "d" / "diagnosis.json").read_text())
    found = {float(value) for value in number.findall(page)}
    known = {one["largest_eigenvalue"] for one in told["sharpness"].values()}
    assert sorted(found) == pytest.approx(sorted(known), rel=1e-2)
    said = json.loads(run("report", model, data, "-o", folder / "e.html", *options).output)
    assert said["diagnosis"]["decoder"]["effective_rank"] == pytest.approx(
        told["decoder"]["effective_rank"], rel=1e-6
    )
    assert said["diagnosis"]["extrapolation"]["stays"] == told["extrapolation"]["stays"]


def test_without_a_diagnosis_there_are_checks_alone(folder: Path) -> None:
    options = ("--exclude", "part,state", "-q", "--json", "-o", folder / "n.html")
    found = json.loads(
        run("report", folder / "a.model", folder / "new.csv", "--no-diagnose", *options).output
    )
    assert found["diagnosis"] is None
    assert found["checks"]["far from all data"] is not None
    page = (folder / "n.html").read_text()
    assert "Whether to trust it" in page
    assert 'id="diagnosis"' not in page


def test_without_labels_the_diagnosis_is_of_what_raises_no_alarm(folder: Path) -> None:
    options = ("--exclude", "part,state", "-q", "--json", "-o", folder / "u.html")
    found = json.loads(run("report", folder / "a.model", folder / "new.csv", *options).output)
    quiet = found["scored"] - found["alarms"]
    assert found["diagnosis"]["looked_at"] == {"normal": quiet}
    assert f"Drawn of {quiet} rows here that raise no alarm (" in (folder / "u.html").read_text()


def test_a_figure_that_cannot_be_made_is_named_and_the_page_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lampblack.diagnostics import diagnosis

    def breaks(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no <rule> for this layer\nand more")

    monkeypatch.setattr(diagnosis, "decoder_spectrum", breaks)
    monkeypatch.setattr(diagnosis, "loss_landscape", breaks)
    options = ("--exclude", "part,state", "-q", "-o", folder / "f.html")
    run("report", folder / "a.model", folder / "new.csv", *options)
    page = (folder / "f.html").read_text()
    for name in ("decoder", "landscape"):
        assert f"Left out, {name}: no &lt;rule&gt; for this layer." in page
    assert "and more" not in page
    assert '<h3 id="landscape">' not in page
    assert '<h3 id="codes">' in page


def test_what_takes_too_long_is_left_out_and_the_checks_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lampblack.cli import report_diagnosis

    monkeypatch.setattr(report_diagnosis, "SECONDS", 0.0)
    options = ("--exclude", "part,state", "-q", "--json", "-o", folder / "t.html")
    found = json.loads(run("report", folder / "a.model", folder / "new.csv", *options).output)
    late = {"rays", "decoder", "landscape", "sharpness"}
    assert set(found["diagnosis"]["left_out"]) == late
    assert found["checks"]["far from all data"] is None
    assert found["checks"]["latent space"] is not None
    page = (folder / "t.html").read_text()
    assert page.count("the 0 seconds for the diagnosis were over") == len(late)
    assert '<h3 id="codes">' in page


def test_a_critic_has_its_distances_and_their_band_in_the_page(
    folder: Path, tmp_path: Path
) -> None:
    model, output = tmp_path / "ama.model", tmp_path / "r.html"
    run("fit", folder / "normal.csv", "-o", model, "--detector", "ama", "--steps", "20", "-q")
    run("report", model, folder / "new.csv", "--exclude", "part,state", "-o", output, "-q")
    page = output.read_text()
    assert '<h3 id="critic">' in page
    assert "The typical band is" in page


def test_where_nothing_is_normal_the_page_says_so(folder: Path) -> None:
    frame = pd.read_csv(folder / "normal.csv").head(20)
    frame["pressure"] = 900
    frame.to_csv(folder / "broken.csv", index=False)
    run("report", folder / "a.model", folder / "broken.csv", "-o", folder / "all.html", "-q")
    page = (folder / "all.html").read_text()
    assert "Nothing was looked at: no row here can be taken for normal." in page


def test_images_show_their_heat_maps(tmp_path: Path) -> None:
    images = discs(260)
    for name, some in (("good", images[:240]), ("odd", 255 - images[240:])):
        (tmp_path / "test" / name).mkdir(parents=True)
        for i, image in enumerate(some):
            Image.fromarray(np.asarray(image).squeeze()).save(tmp_path / "test" / name / f"{i}.png")
    good = tmp_path / "test" / "good"
    model = tmp_path / "p.model"
    run("fit", good, "-o", model, "--steps", "20", "-q", "--false-alarm-rate", "0.05")
    output = tmp_path / "r.html"
    run("report", model, tmp_path / "test", "-o", output, "--normal", "good", "-q")
    page = output.read_text()
    assert 20 <= page.count("data:image/png;base64,") <= 24
    assert "Against the labels" in page
    assert "Drawn of 240 images here that are normal" not in page  # 200 are enough
    assert "Drawn of 200 images here that are normal by the labels, beside 20 that" in page
    for name in ("landscape", "codes", "rays"):
        assert f'<h3 id="{name}">' in page or f"Left out, {name}: the 30 seconds" in page


def test_plot_writes_the_same_figures_as_files(folder: Path) -> None:
    options = ("--label", "state", "--anomaly", "leak", "--exclude", "part", "-q")
    for ending in ("png", "svg"):
        place = folder / ending
        command = ("plot", folder / "a.model", folder / "new.csv", "-o", place)
        run(*command, "--format", ending, *options)
        names = {"scores", "order", "blamed", "roc", "precision", "history"}
        assert {path.name for path in place.iterdir()} == {f"{name}.{ending}" for name in names}
    named = ("plot", folder / "a.model", folder / "new.csv", "-o", folder / "named", "--id", "part")
    assert "wrote" in run(*named, "--exclude", "state", "-q").stdout
    with Image.open(folder / "png" / "scores.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-o", "new.csv"), "is the file that is scored"),
        (("-o", "a.model/r.html"), "lies in the model's folder"),
        (("-o", "no/r.html"), "does not exist"),
        (("-o", "."), "is a folder"),
        (("-o", "r.html", "--anomaly", "leak"), "--label COLUMN"),
        (("-o", "r.html", "--label", "flow"), "as an input"),
        (("-o", "r.html", "--id", "nope"), "no column 'nope'"),
        (("-o", "r.html", "--label", "state", "--anomaly", "nope"), "nope"),
        (("-o", "r.html", "--resize"), "--resize is for images"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(folder)
    if "--label" in options or "nope" in options:
        options = (*options, "--exclude", "part" if "--label" in options else "state,part")
    said = refused("report", "a.model", "new.csv", "-q", *options)
    assert says in said
    assert not (folder / "r.html").exists()


def test_a_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jinja2" else real(name)
    )
    said = refused("report", folder / "a.model", folder / "new.csv", "-o", folder / "x.html", "-q")
    assert "pip install 'lampblack[report]'" in said


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as Debian installs it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_works_in_a_browser(folder: Path, page: str, scheme: Any) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=options)
        opened = browser.new_page(color_scheme=scheme, viewport={"width": 1100, "height": 900})
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda request: said.append(request.url))
        opened.goto((folder / "report.html").as_uri())
        rows = opened.locator("#list > tbody > tr")
        count = rows.count()
        assert count >= 3
        opened.fill("#filter", "p61")
        assert rows.locator("visible=true").count() == 1
        assert opened.locator("#shown").text_content() == f"1 of {count}"
        opened.fill("#filter", "")
        score = "#list > thead th:nth-child(2) button"
        values = []
        for _ in range(2):
            opened.focus(score)
            opened.keyboard.press("Enter")
            values.append(
                [
                    float(cell)
                    for cell in rows.locator("td:nth-child(2)").evaluate_all(
                        "cells => cells.map(cell => cell.dataset.value).filter(value => value)"
                    )
                ]
            )
        assert values[0] == sorted(values[0])
        assert values[1] == sorted(values[1], reverse=True)
        figures = opened.locator("#diagnosis svg")
        assert figures.locator("visible=true").count() == 0
        opened.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert figures.locator("visible=true").count() == 3
        opened.evaluate("dispatchEvent(new Event('afterprint'))")
        assert figures.locator("visible=true").count() == 0
        opened.focus("#diagnosis > summary")
        opened.keyboard.press("Enter")
        assert figures.locator("visible=true").count() == 3
        colour = "element => getComputedStyle(element).fill"
        page_colour = opened.evaluate("getComputedStyle(document.body).color")
        assert {found.evaluate(colour) for found in figures.locator("text").all()} == {page_colour}
        for figure in figures.all():
            inside, around = figure.bounding_box(), opened.locator("main").bounding_box()
            assert inside
            assert around
            assert inside["x"] + inside["width"] <= around["x"] + around["width"] + 1
        opened.locator("#diagnosis").screenshot(path=str(folder / f"diagnosis-{scheme}.png"))
        opened.focus("#diagnosis > summary")
        opened.keyboard.press("Enter")
        opened.locator("summary").first.focus()
        opened.keyboard.press("Enter")
        assert opened.locator("details[open]").count() == 1
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        opened.screenshot(path=str(folder / f"{scheme}.png"), full_page=True)
        browser.close()
    assert [line for line in said if not line.startswith(("file:", "data:"))] == []


def labelled(folder: Path, name: str, moved: int, anomalies: int) -> Path:
    """400 normal rows of which some break the relation, and some more that are labelled as such."""
    rows = pd.read_csv(folder / "normal.csv").head(400 + anomalies)
    rows["state"] = ["fine"] * 400 + ["leak"] * anomalies
    rows.loc[rows.index[:moved], "pressure"] += 30
    rows.loc[rows.index[400:], "pressure"] += 30
    rows.to_csv(folder / name, index=False)
    return folder / name


LABELS = ("--label", "state", "--anomaly", "leak")


@pytest.mark.parametrize("anomalies", [20, 0])
def test_a_broken_promise_is_said_before_that_no_drift_shows(folder: Path, anomalies: int) -> None:
    data = labelled(folder, f"broken{anomalies}.csv", moved=16, anomalies=anomalies)
    labels = LABELS if anomalies else ("--label", "state", "--normal", "fine")
    output = folder / "broken.html"
    command = ("report", folder / "a.model", data, "-o", output, *labels, "-q", "--no-diagnose")
    said = run(*command).stdout
    assert said.startswith(
        "notice: the promise is broken: of 400 rows that the labels call normal,"
    )
    page = " ".join(output.read_text().split())
    first = page.index("the promise is broken: of 400 rows")
    assert page.index("<h1>") < first < page.index('class="figures"')
    assert "and 1.00% at most was promised (p = " in page
    assert "No drift shows" not in page
    found = json.loads(run(*command, "--json").stdout)
    assert found["broken_promise"].startswith("the promise is broken")


def test_evaluate_says_first_that_the_promise_is_broken(folder: Path) -> None:
    command = ("evaluate", folder / "a.model", labelled(folder, "evaluated.csv", 16, 20), *LABELS)
    said = run(*command).stdout
    assert said.startswith("notice: the promise is broken")
    result = run(*command, "--json")
    assert json.loads(result.stdout)["promise_p_value"] < 0.01
    assert "the promise is broken" in result.stderr
    kept = run(*command[:2], labelled(folder, "kept.csv", 0, 20), *LABELS)
    assert "broken" not in kept.stdout
    assert "promise p value" in kept.stdout


def test_a_report_of_a_kept_promise_says_nothing_of_it(page: str) -> None:
    assert 'role="alert"' not in page.replace("[role=alert]", "")
    assert "broken" not in page
