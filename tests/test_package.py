"""The package as a whole: its names, its layers, how fast it imports, and its wheel."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import get_args

import pytest

import lampblack
from lampblack.cli.training import DetectorName
from lampblack.detectors.registry import DETECTORS

ROOT = Path(__file__).parents[1]


def test_public_names_are_frozen() -> None:
    assert lampblack.__all__ == [
        "AMADetector",
        "AutoencoderDetector",
        "CalibrationWarning",
        "Callback",
        "CollapseWarning",
        "ExportError",
        "ImageWarning",
        "InvalidInput",
        "LAMPDetector",
        "LampblackDetector",
        "LampblackError",
        "LampblackWarning",
        "MissingExtra",
        "ModelFileError",
        "ReadingWarning",
        "RowFormat",
        "SchemaMismatch",
        "Scoring",
        "TollDetector",
        "TrainingError",
        "TrainingWarning",
        "UnreadableImage",
        "__version__",
        "diagnose",
        "export_onnx",
        "find_images",
        "find_rows",
        "load",
        "load_portable",
        "recommended",
        "score_files",
    ]
    for name in lampblack.__all__:
        assert getattr(lampblack, name) is not None
    assert dir(lampblack) == lampblack.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lampblack.nothing


@pytest.mark.parametrize(
    "statement",
    [
        "import lampblack",
        "from lampblack.cli.main import app; import typer.testing as t; "
        "assert t.CliRunner().invoke(app, ['--help']).exit_code == 0",
    ],
    ids=["import", "help"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    heavy = "{'torch', 'sklearn', 'numpy', 'pandas', 'pyarrow', 'scipy', 'lightning_fabric'}"
    check = f"{statement}; import sys; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_a_plain_fit_imports_neither_fabric_nor_the_compiler() -> None:
    """They take two seconds together, more than most tables take to fit."""
    check = (
        "import sys, numpy as np, lampblack; "
        "lampblack.recommended(max_steps=5).fit(np.random.default_rng(0).normal(size=(300, 3))); "
        "found = {'lightning_fabric', 'torch._dynamo'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", check], check=True)


def test_info_needs_no_torch(fitted: lampblack.TollDetector, tmp_path: Path) -> None:
    fitted.save(tmp_path / "a.model")
    check = (
        "import sys; from pathlib import Path; from lampblack.cli.info import run; "
        f"run(Path({str(tmp_path / 'a.model')!r}), as_json=True); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_command_line_offers_every_registered_detector() -> None:
    assert set(get_args(DetectorName)) == set(DETECTORS)


def test_every_detector_has_its_page_and_its_scenario() -> None:
    """Two of the five touches that add a method; the others fail without it anyway."""
    from benchmarks.lab import methods

    scenarios, of_images = (
        {getattr(fit, "detector", None) for fit in group.values()}
        for group in (methods.TABLES, methods.IMAGES)
    )
    for name, cls in DETECTORS.items():
        page = ROOT / "docs" / "methods" / f"{name}.md"
        assert page.exists(), f"{cls.__name__} needs {page.relative_to(ROOT)}"
        assert cls.__name__ in page.read_text()
        assert cls in scenarios, f"{cls.__name__} needs a scenario in benchmarks/lab/methods.py"
        assert cls in of_images, f"{cls.__name__} needs one of images in benchmarks/lab/methods.py"


def test_package_is_typed() -> None:
    assert (Path(lampblack.__file__).parent / "py.typed").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the source tree")
def test_wheel_installs_and_runs_from_another_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("lampblack-*.whl")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    site = next((environment / "lib").glob("python*")) / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True, capture_output=True)
    import sysconfig

    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    run = [
        str(environment / "bin" / "python"),
        "-E",
        "-m",
        "lampblack.cli.main",
        "demo",
        "-o",
        "d.model",
    ]
    finished = subprocess.run(run, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    where = subprocess.run(
        [*run[:2], "-c", "import lampblack; print(lampblack.__file__)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert str(site) in where
    assert "AUROC" in finished.stdout
    assert (tmp_path / "d.model" / "manifest.json").exists()


def test_api_reference_is_built_from_the_docstrings(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "docs" / "build.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    detectors = tmp_path / "lampblack" / "detectors"
    assert "How anomalous each sample is" in (detectors / "base.html").read_text()
    assert "base.html#ReconstructionDetector.anomaly_score" in (detectors / "toll.html").read_text()
    for name in lampblack.__all__:
        assert name in (tmp_path / "lampblack.html").read_text()
