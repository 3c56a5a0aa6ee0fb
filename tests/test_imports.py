"""No circle among the files of a package, as their import statements have it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Imports = dict[str, set[str]]  # a module, and those that it imports


def modules(folder: Path, package: str) -> dict[str, Path]:
    """Every module below a folder, by its name."""
    found = {}
    for path in sorted((folder / package).rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[str]:
    """The modules that one imports anywhere in its text, but for those that only types need."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            before = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, [before, node.module]))
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {other if other in known else origin for other in names}
    return (found & known) - {name}


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but for those below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            child = ast.Module(child.orelse, [])
        yield child
        yield from statements(child)


def circle(graph: Imports) -> list[str]:
    """A way that leads back to where it began; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        found = next((c for other in sorted(graph[name]) if (c := walk(other, [*way, name]))), [])
        done.add(name)
        return found

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def graph_of(folder: Path, package: str, known: Iterable[str] = ()) -> Imports:
    """What every module of a package imports of the package, and of what else is known."""
    own = modules(folder, package)
    return {name: imports(name, path, {*own, *known}) for name, path in own.items()}


@pytest.mark.parametrize(("folder", "package"), [(ROOT, "benchmarks"), (ROOT / "src", "lampblack")])
def test_no_file_imports_what_imports_it(folder: Path, package: str) -> None:
    graph = graph_of(folder, package)
    assert len(graph) > 20
    assert circle(graph) == []


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    files = {
        "__init__": "",
        "a": "from p.b import x\n",
        "b": "def f():\n    from p import c\n",
        "c": "import typing\nif typing.TYPE_CHECKING:\n    import p.a\n",
        "d": "from .a import x\nfrom p import c, y\n",
    }
    (tmp_path / "p").mkdir()
    for name, text in files.items():
        (tmp_path / "p" / f"{name}.py").write_text(text)
    found = graph_of(tmp_path, "p")
    assert found == {
        "p": set(),
        "p.a": {"p.b"},
        "p.b": {"p.c"},
        "p.c": set(),
        "p.d": {"p", "p.a", "p.c"},
    }
    assert circle(found) == []
    (tmp_path / "p" / "c.py").write_text("from p.a import f\n")
    assert circle(graph_of(tmp_path, "p")) == ["p.a", "p.b", "p.c", "p.a"]
