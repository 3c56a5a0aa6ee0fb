"""Portable models score where torch is not, with nothing but what the service's image holds."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

import lampblack
from tests.conftest import discs
from tests.export.conftest import Exported

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "docker" / "requirements.txt"
TRAINING = ("torch", "sklearn", "scipy", "safetensors", "torchmetrics", "lightning_fabric")

pytestmark = pytest.mark.skipif(not REQUIREMENTS.exists(), reason="needs the source tree")


def required() -> list[Requirement]:
    """What the image installs, as it stands in the file."""
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def with_dependencies(names: list[str]) -> set[str]:
    """Distributions, and all that they depend on in this environment."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found


@pytest.fixture(scope="session")
def image_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds what the image holds, by links; and the tests' lampblack."""
    site = tmp_path_factory.mktemp("site")
    for name in with_dependencies([requirement.name for requirement in required()]):
        distribution = metadata.distribution(name)
        for file in distribution.files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    (site / "lampblack").symlink_to(Path(lampblack.__file__).parent)
    return site


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["image", "blocked"])
def run_without_torch(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run Python: with the image's packages alone, or with torch and its kin refused on import."""
    start = ""
    if request.param == "image":
        site = request.getfixturevalue("image_site")
        start = f"import sys; sys.path.append({str(site)!r}); import importlib.util as u; "
        start += f"assert not [name for name in {TRAINING} if u.find_spec(name)]\n"
    else:
        site = Path(sysconfig.get_paths()["purelib"])
        start = (
            "import sys\n"
            "class Refuse:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.split('.')[0] in {TRAINING}:\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
            "sys.meta_path.insert(0, Refuse())\n"
            f"sys.path[:0] = [{str(Path(lampblack.__file__).parents[1])!r}, {str(site)!r}]\n"
        )

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", start + program, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


COMMAND = "from lampblack.cli.main import app; app(sys.argv[1:], prog_name='lampblack')"


def test_commands_score_a_table(run_without_torch: Run, of_table: Exported, tmp_path: Path) -> None:
    detector, _, file, samples, _ = of_table
    data = tmp_path / "rows.csv"
    samples.assign(part=np.arange(len(samples))).to_csv(data, index=False)
    done = run_without_torch(COMMAND, "score", file, data, "--id", "part", "-o", "s.parquet")
    assert (done.stderr, done.returncode) == ("", 0)
    scored = pyarrow.parquet.read_table(tmp_path / "s.parquet").to_pandas()
    expected = detector.anomaly_score(samples)
    np.testing.assert_allclose(scored["anomaly_score"], expected, rtol=1e-5)
    alarms = expected > detector.calibration_.threshold
    assert ((scored["decision"] == "anomaly") == alarms).all()
    assert f"150 rows, {alarms.sum()} alarms" in done.stdout
    shown = run_without_torch(COMMAND, "score", file, data, "--exclude", "part")
    assert "10 strongest alarms" in shown.stdout
    assert "because of" not in shown.stdout
    facts = json.loads(run_without_torch(COMMAND, "info", file, "--json").stdout)
    assert facts["detector"] == "LampblackDetector"


def test_commands_score_a_folder_of_images(
    run_without_torch: Run, of_images: Exported, tmp_path: Path
) -> None:
    """More images than are decoded one by one: by threads, where torch's processes are not."""
    images = discs(300, seed=3)
    (tmp_path / "parts").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[0]).save(tmp_path / "parts" / f"{i:03}.png")
    done = run_without_torch(COMMAND, "score", of_images.file, "parts", "-o", "s.csv")
    assert (done.stderr, done.returncode) == ("", 0)
    scored = pyarrow.csv.read_csv(tmp_path / "s.csv").to_pandas()
    assert scored["image"].tolist() == [f"{i:03}.png" for i in range(300)]
    expected = of_images.detector.anomaly_score(images)
    np.testing.assert_allclose(scored["anomaly_score"], expected, rtol=1e-5)


def test_python_scores_and_controls_false_discoveries(
    run_without_torch: Run, exported: Callable[[str], Exported]
) -> None:
    detector, _, file, samples, _ = exported("toll on images")
    program = (
        "import lampblack, numpy as np, json\n"
        "model = lampblack.load_portable(sys.argv[1])\n"
        "X = np.load(sys.argv[2])\n"
        "print(json.dumps([model.anomaly_score(X).tolist(), model.predict(X, fdr=0.2).tolist()]))\n"
        f"assert not set({TRAINING}) & set(sys.modules)"
    )
    data = file.with_suffix(".npy")
    np.save(data, samples)
    done = run_without_torch(program, file, data)
    assert done.stderr == ""
    scores, decisions = json.loads(done.stdout)
    np.testing.assert_allclose(scores, detector.anomaly_score(samples), rtol=1e-5)
    assert decisions == detector.predict(samples, fdr=0.2).tolist()


def test_a_model_folder_says_in_one_line_that_it_needs_more(
    run_without_torch: Run, of_images: Exported, tmp_path: Path
) -> None:
    of_images.detector.save(tmp_path / "a.model")
    np.savez(tmp_path / "x.npz", images=of_images.samples)
    done = run_without_torch(COMMAND, "score", "a.model", "x.npz")
    assert done.returncode == 2
    assert re.fullmatch(r"lampblack: error: this needs \w+, which is not .*\n", done.stderr)


# The image.


def dockerfile() -> list[tuple[str, str]]:
    """The Dockerfile's instructions."""
    spec = importlib.util.spec_from_file_location("check", ROOT / "docker" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    check: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    found: list[tuple[str, str]] = check.instructions((ROOT / "Dockerfile").read_text())
    return found


def test_image_holds_what_pyproject_says_and_all_that_the_service_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = {str(Requirement(text)) for text in [*project["dependencies"], *extras["onnx"]]}
    serve = {str(Requirement(text)) for text in extras["serve"]}
    held = {str(requirement) for requirement in required()}
    assert held <= known | serve
    assert serve <= held
    assert not {requirement.name for requirement in required()} & {"torch", "onnx", "scikit-learn"}


def test_image_is_not_root_checks_its_health_and_serves_the_model() -> None:
    steps = dockerfile()
    last = steps[max(i for i, (name, _) in enumerate(steps) if name == "FROM") :]
    said = dict(last)
    assert said["USER"] not in ("root", "0")
    assert "/healthz" in said["HEALTHCHECK"]
    command = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
    assert command == ["lampblack", "serve", "/model.onnx", "--host", "0.0.0.0"]
    assert "slim" in said["FROM"]
    assert not any("TOKEN" in arguments for _, arguments in steps)  # given when it is run


def test_image_copies_files_that_are_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [
        source
        for name, arguments in dockerfile()
        if name == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
    ]
    assert "src" in [source.removeprefix("./") for source in sources]
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
