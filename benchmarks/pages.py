"""The blocks and pictures of all studies, in their places: README, docs, and a page of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lab import drawing
from benchmarks.lab.markdown import NONE
from benchmarks.lab.results import KEPT, ROOT
from benchmarks.lab.study import Block, Picture, Study, studies

MARKER = re.compile(r"(<!-- ([\w-]+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
PAGES = tuple(
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if MARKER.search(page.read_text())
)


def render() -> None:
    """Put every block in its place in the pages, and draw what they show."""
    for page in PAGES:
        page.write_text(rendered(page.read_text()))
    draw(drawing.PICTURES)


def rendered(text: str) -> str:
    """A page with every block between <!-- NAME --> and <!-- /NAME --> made anew.

    Raises KeyError where no study has a block of that name.
    """
    known = {name: study for study in studies().values() for name in study.blocks}

    def made(match: re.Match[str]) -> str:
        start, name, end = match.groups()
        return f"{start}{_made(known[name], known[name].blocks[name], KEPT)}{end}"

    return MARKER.sub(made, text)


def _made(study: Study, block: Block, folder: Path) -> str:
    rows = study.rows(folder)
    return block(rows) if rows or not (study.results or study.reads) else NONE


def draw(folder: Path) -> None:
    """Draw the pictures of the documentation."""
    for picture, figure in _figures(KEPT):
        if picture.file is not None:
            drawing.write(figure, folder / picture.file)


def _figures(folder: Path) -> Iterator[tuple[Picture, object]]:
    """Every picture that the results allow; its style holds until the next is asked for."""
    import matplotlib as mpl

    for study in studies().values():
        rows = study.rows(folder)
        for picture in study.pictures if rows else ():
            with mpl.rc_context(dict(picture.style)):
                figure = picture.draw(rows)
                if figure is not None:
                    yield picture, figure


def summary(folder: Path) -> str:
    """What the studies say in one line."""
    found = [study for study in studies().values() if study.summary is not None]
    return "; ".join(_made(study, study.summary, folder).rstrip() for study in found)


def write_report(folder: Path) -> Path:
    """The HTML page of a folder of results, with its pictures inside."""
    from jinja2 import Template

    page = folder / "report" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    tables = {
        title: _cells(_made(study, block, folder))
        for study in studies().values()
        for title, block in study.report.items()
    }
    pictures = {p.caption: drawing.svg(figure) for p, figure in _figures(folder) if p.caption}
    template = Template(PAGE, autoescape=True)
    page.write_text(template.render(summary=summary(folder), tables=tables, pictures=pictures))
    return page


def _cells(markdown: str) -> tuple[list[list[str]], list[str]]:
    """The rows of a Markdown table, and the lines behind it."""
    lines = [line for line in markdown.splitlines() if line]
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows if not row[0].startswith("---")]
    return cells or [[]], [line for line in lines if not line.startswith("|")]


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>lampblack: the benchmark</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; background: #fff; color: #111; padding: .5rem; overflow-x: auto; }
</style>
<h1>The benchmark</h1><p>{{ summary }}</p>
{% for name, (rows, notes) in tables.items() %}<h2>{{ name }}</h2>
<table><thead><tr>{% for cell in rows[0] %}<th>{{ cell }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% for note in notes %}<p>{{ note }}</p>{% endfor %}{% endfor %}
<h2>Pictures</h2>
{% for caption, svg in pictures.items() %}<figure>{{ svg | safe }}
<figcaption>{{ caption }}</figcaption></figure>{% endfor %}
</html>
"""
