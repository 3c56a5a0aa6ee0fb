"""A model on disk: the same bits back, nothing of a stranger's run, every fault refused."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lampblack
from lampblack.exceptions import InvalidInput, LampblackError, ModelFileError
from lampblack.model.folder import load_model
from lampblack.persistence import read_config
from tests.conftest import FAST

FORMER = Path(__file__).parent / "models"
SCORE = """
import sys, numpy as np, pandas as pd, lampblack
frame = pd.read_pickle(sys.argv[2])
sys.stdout.buffer.write(lampblack.load(sys.argv[1]).anomaly_score(frame).tobytes())
"""
FILES = {
    "README.md",
    "calibration.safetensors",
    "config.json",
    "encoder.json",
    "manifest.json",
    "weights.safetensors",
}


@pytest.fixture(params=[lampblack.load, load_model], ids=["detector", "fitted"])
def load(request: pytest.FixtureRequest) -> Callable[[Path], Any]:
    """Both ways to load a folder, which refuse the same."""
    return request.param


@pytest.fixture(scope="module")
def saved(fitted_frame: lampblack.TollDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "pump.model"
    fitted_frame.save(path)
    return path


def test_folder_holds_what_the_design_names_and_no_pickle(saved: Path) -> None:
    assert {file.name for file in saved.iterdir()} == FILES
    for file in saved.iterdir():
        assert not file.read_bytes().startswith(b"\x80")  # how a pickle begins
        assert not file.read_bytes().startswith(b"PK")  # how an archive, which may hold one, does


def test_scores_after_loading_in_a_new_process_are_the_same_bits(
    saved: Path, frame: pd.DataFrame, fitted_frame: lampblack.TollDetector, tmp_path: Path
) -> None:
    frame.to_pickle(tmp_path / "frame.pkl")
    command = [sys.executable, "-c", SCORE, str(saved), str(tmp_path / "frame.pkl")]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    np.testing.assert_array_equal(np.frombuffer(output), fitted_frame.anomaly_score(frame))


def test_everything_fitted_comes_back(saved: Path, fitted_frame: lampblack.TollDetector) -> None:
    loaded = lampblack.load(saved)
    assert type(loaded) is lampblack.TollDetector
    assert loaded.get_params() == fitted_frame.get_params()
    for name in ("offset_", "history_", "notes_", "rows_", "versions_", "threads_", "schema_"):
        assert getattr(loaded, name) == getattr(fitted_frame, name)
    assert list(loaded.feature_names_in_) == list(fitted_frame.feature_names_in_)
    assert loaded.n_features_in_ == 5


def test_loaded_model_can_be_explained_recalibrated_refitted_and_saved(
    saved: Path, frame: pd.DataFrame, fitted_frame: lampblack.TollDetector, tmp_path: Path
) -> None:
    loaded = lampblack.load(saved)
    expected = fitted_frame.explain(frame)
    np.testing.assert_array_equal(loaded.explain(frame).contributions, expected.contributions)
    loaded.recalibrate(frame).save(tmp_path / "again.model")
    again = lampblack.load(tmp_path / "again.model")
    assert again.offset_ == loaded.offset_
    np.testing.assert_array_equal(
        again.fit(frame).anomaly_score(frame), fitted_frame.anomaly_score(frame)
    )


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["autoencoder", "lamp", "toll"]),
    error=st.sampled_from(["l2", "l1", "l2_norm"]),
    amplification=st.sampled_from([None, "log", "quantile"]),
    weight=st.floats(0, 100),
    hidden=st.lists(st.integers(1, 12), max_size=3).map(tuple),
    latent_dim=st.integers(1, 6),
    contamination=st.none() | st.floats(0.01, 0.5),
    seed=st.integers(0, 2**31),
)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_any_model_is_loaded_as_it_was_saved(
    tmp_path: Path, frame: pd.DataFrame, name: str, **parameters: object
) -> None:
    from lampblack.detectors.registry import DETECTORS

    parameters["reconstruction_error"] = parameters.pop("error")
    parameters["latent_weight"] = parameters.pop("weight")
    parameters["random_state"] = parameters.pop("seed")
    detector = DETECTORS[name](max_steps=3, **parameters).fit(frame.head(120))
    detector.save(tmp_path / "any.model")
    loaded = lampblack.load(tmp_path / "any.model")
    np.testing.assert_array_equal(loaded.anomaly_score(frame), detector.anomaly_score(frame))
    assert loaded.offset_ == detector.offset_
    assert loaded.get_params() == detector.get_params()


def test_one_flipped_bit_anywhere_is_refused_naming_the_file(saved: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = sorted(saved.iterdir())
    for _ in range(200):
        copy = tmp_path / "flipped.model"
        shutil.copytree(saved, copy)
        file = copy / files[rng.integers(len(files))].name
        content = bytearray(file.read_bytes())
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        file.write_bytes(content)
        with pytest.raises(ModelFileError, match=str(copy)) as caught:
            lampblack.load(copy)
        named = str(caught.value)
        assert file.name in named or file.name == "manifest.json"
        assert "\n" not in named
        shutil.rmtree(copy)


@pytest.mark.parametrize("name", sorted(FILES))
def test_truncated_or_missing_file_is_refused_naming_it(
    saved: Path, tmp_path: Path, load: Any, name: str
) -> None:
    for damage in ("truncated", "missing", "empty"):
        copy = tmp_path / f"{damage}.model"
        shutil.copytree(saved, copy)
        content = (copy / name).read_bytes()
        if damage == "missing":
            (copy / name).unlink()
        else:
            (copy / name).write_bytes(
                content[: len(content) // 2] if damage == "truncated" else b""
            )
        with pytest.raises(ModelFileError, match=name):
            load(copy)


def test_unknown_file_in_the_folder_is_refused(saved: Path, tmp_path: Path, load: Any) -> None:
    copy = shutil.copytree(saved, tmp_path / "more.model")
    (copy / "extra.py").write_text("print('never run')")
    with pytest.raises(ModelFileError, match=r"extra\.py is not part of the model"):
        load(copy)


def rewrite(path: Path, name: str, content: bytes) -> None:
    """Put a file in place with a manifest that agrees, as somebody with bad intent would."""
    from lampblack.persistence.folder import MANIFEST, write_folder

    files = {file.name: file.read_bytes() for file in path.iterdir() if file.name != MANIFEST}
    shutil.rmtree(path)
    write_folder(path, {**files, name: content})


def change_config(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    rewrite(path, "config.json", json.dumps({**config, **changes}).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 5}, "format 5, written by a newer lampblack"),
        ({"format": 2}, "format 2, which no released lampblack wrote or reads: fit the model"),
        ({"detector": "os.system"}, "unknown detector 'os.system'"),
        ({"parameters": {"hidden": "x"}}, "do not fit together"),
        ({"parameters": {"hidden": [3, 0]}}, "do not fit together"),
        ({"parameters": {"unheard_of": 1}}, r"fit together.*\(.*unheard_of"),
        ({"parameters": {"reconstruction_error": "l3"}}, r"fit together.*\(.*'l3'"),
        ({"parameters": {"types": 3, "latent_weight": 1.0}}, "latent_weight, which was not left"),
        ({"threads": "many"}, "threads"),
        ({"filled_in": {"latent_weight": -1.0}}, r"fit together.*\(.*-1\.0"),
        ({"filled_in": {"latent_weight": math.nan}}, r"fit together.*\(.*nan"),
        ({"filled_in": {"latent_weight": "much"}}, "do not fit together"),
        ({"filled_in": {"latent_weight": None}}, "do not fit together"),
        ({"filled_in": {"latent_dim": 3}}, "do not fit together"),
        ({"filled_in": {"hidden": [3]}}, "filled_in holds hidden, which was not left out"),
        ({"format": 3, "table": None}, "exactly one of table and images"),
        ({"kind": "series"}, "unknown kind of data 'series'"),
        ({"kind": "images"}, "channels"),
        ({"data": {"channels": 1, "height": 8, "width": 8}}, "columns"),
        ({"unknown_key": 1}, "unknown_key"),
        ({"data": {"columns": [], "named": True}}, "do not fit together"),
        ({"parameters": {"hidden": [20000, 20000]}}, "values, and the parameters ask for"),
        ({"calibration": {"promised": 1e-300, "requested": 1e-300}}, "cannot promise 1e-300"),
        ({"calibration": {"promised": 0.4, "requested": 0.4}}, "threshold is not the one"),
        ({"reading": {"types": "ab"}}, "types of reading are not given by column"),
    ],
)
def test_config_that_cannot_be_is_refused(
    saved: Path, tmp_path: Path, load: Any, changes: dict[str, object], message: str
) -> None:
    copy = shutil.copytree(saved, tmp_path / "changed.model")
    config = json.loads((copy / "config.json").read_text())
    for place in {
        "parameters",
        "filled_in",
        "calibration",
    } & changes.keys():  # all else stays as it was
        changes = {**changes, place: {**config[place], **changes[place]}}  # type: ignore[dict-item]
    change_config(copy, **changes)
    with pytest.raises(ModelFileError, match=message):
        load(copy)


@pytest.mark.parametrize(
    ("place", "name", "message"),
    [
        ("parameters", "network", r"\(.*network"),
        ("parameters", "patience", r"\(.*patience"),
        ("filled_in", "latent_weight", "do not fit together"),
        ("filled_in", "latent_dim", "do not fit together"),
    ],
)
def test_config_that_lacks_a_parameter_is_refused(
    saved: Path, tmp_path: Path, load: Any, place: str, name: str, message: str
) -> None:
    copy = shutil.copytree(saved, tmp_path / "changed.model")
    config = json.loads((copy / "config.json").read_text())
    del config[place][name]
    change_config(copy, **config)
    with pytest.raises(ModelFileError, match=message):
        load(copy)


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ("filled_in", None, "filled_in must hold"),
        ("filled_in", {"learning_rate": -3}, r"\(.*'learning_rate'.*-3"),
        ("parameters", {"max_steps": -3}, r"\(.*'max_steps'.*-3"),
        ("parameters", {"patience": 0}, r"\(.*'patience'.*0"),
    ],
)
def test_the_detector_refuses_what_its_training_cannot_take(
    saved: Path, tmp_path: Path, place: str, changes: dict[str, object] | None, message: str
) -> None:
    copy = shutil.copytree(saved, tmp_path / "changed.model")
    config = json.loads((copy / "config.json").read_text())
    change_config(copy, **{place: {} if changes is None else {**config[place], **changes}})
    with pytest.raises(ModelFileError, match=message):
        lampblack.load(copy)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("no torchmetrics"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 4000000000 bytes. Error code 12"
        ),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_what_the_machine_lacks_is_not_taken_for_damage(
    saved: Path, load: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lampblack.model.folder.build", fail)
    with pytest.raises(type(error)):
        load(saved)


def test_a_device_that_fails_is_not_taken_for_damage(
    saved: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("lampblack.networks.AutoencoderPair.to", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        load(saved)


class Mischief:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("mischief-was-done"),))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: ["not an encoder"],
        lambda state: {**state, "scaling": "os.system"},
        lambda state: {**state, "pipeline": "anything"},
        lambda state: {k: v for k, v in state.items() if k != "levels"},
        lambda state: {**state, "scale": [0.0, *state["scale"][1:]]},
        lambda state: {**state, "center": [float("nan"), *state["center"][1:]]},
        lambda state: {**state, "medians": ["1; import os", *state["medians"][1:]]},
        lambda state: {**state, "cycles": [["hour"]]},
    ],
)
def test_encoder_that_cannot_be_is_refused(
    saved: Path, tmp_path: Path, load: Any, change: Any
) -> None:
    copy = shutil.copytree(saved, tmp_path / "hostile.model")
    state = json.loads((copy / "encoder.json").read_text())
    rewrite(copy, "encoder.json", json.dumps(change(state)).encode())
    with pytest.raises(ModelFileError, match=r"encoder\.json does not hold an encoder"):
        load(copy)


@pytest.mark.parametrize("part", ["center", "scale", "constant", "medians", "levels", "cycles"])
def test_encoder_of_another_table_is_refused(
    saved: Path, tmp_path: Path, load: Any, part: str
) -> None:
    copy = shutil.copytree(saved, tmp_path / "other.model")
    state = json.loads((copy / "encoder.json").read_text())
    rewrite(copy, "encoder.json", json.dumps({**state, part: state[part][:-1]}).encode())
    with pytest.raises(ModelFileError, match="do not fit together"):
        load(copy)


def test_pickled_encoder_is_refused_and_not_run(
    saved: Path, tmp_path: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(saved, tmp_path / "hostile.model")
    rewrite(copy, "encoder.json", pickle.dumps(Mischief()))
    with pytest.raises(ModelFileError, match=r"encoder\.json"):
        load(copy)
    assert not Path("mischief-was-done").exists()


def test_hostile_weights_are_refused(saved: Path, tmp_path: Path, load: Any) -> None:
    import io

    copy = shutil.copytree(saved, tmp_path / "hostile.model")
    buffer = io.BytesIO()
    torch.save({"weight": Mischief()}, buffer)
    rewrite(copy, "weights.safetensors", buffer.getvalue())
    with pytest.raises(ModelFileError):
        load(copy)


def test_what_is_not_a_model_is_refused(tmp_path: Path, load: Any) -> None:
    (tmp_path / "file").write_text("x")
    for path, message in (
        (tmp_path / "nothing", "does not exist"),
        (tmp_path / "file", "is not a folder"),
        (tmp_path, "manifest.json is missing"),
    ):
        with pytest.raises(ModelFileError, match=message):
            load(path)


def test_saving_replaces_a_model_and_nothing_else(
    fitted: lampblack.TollDetector, fitted_frame: lampblack.TollDetector, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "a.model")
    fitted_frame.save(tmp_path / "a.model")
    assert lampblack.load(tmp_path / "a.model").schema_.named
    assert [path.name for path in tmp_path.iterdir()] == ["a.model"]
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_text("irreplaceable")
    with pytest.raises(ModelFileError, match="is not a model"):
        fitted.save(tmp_path / "holiday")
    assert (tmp_path / "holiday" / "photo.jpg").exists()
    with pytest.raises(ModelFileError, match="does not exist"):
        fitted.save(tmp_path / "no" / "folder")


def test_crash_while_saving_leaves_the_old_model(
    fitted: lampblack.TollDetector,
    fitted_frame: lampblack.TollDetector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    fitted.save(tmp_path / "a.model")

    def crash(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        fitted_frame.save(tmp_path / "a.model")
    assert not lampblack.load(tmp_path / "a.model").schema_.named
    assert [path.name for path in tmp_path.iterdir()] == ["a.model"]


def own_networks() -> tuple[torch.nn.Module, torch.nn.Module]:
    return torch.nn.Linear(5, 2), torch.nn.Linear(2, 5)


def test_own_networks_load_with_the_same_modules_only(normal: np.ndarray, tmp_path: Path) -> None:
    detector = lampblack.TollDetector(networks=own_networks(), **FAST).fit(normal)
    detector.save(tmp_path / "own.model")
    with pytest.raises(ModelFileError, match="load\\(path, networks="):
        lampblack.load(tmp_path / "own.model")
    loaded = lampblack.load(tmp_path / "own.model", networks=own_networks())
    np.testing.assert_array_equal(loaded.anomaly_score(normal), detector.anomaly_score(normal))
    wrong = (torch.nn.Linear(5, 3), torch.nn.Linear(3, 5))
    with pytest.raises(ModelFileError, match="do not fit together"):
        lampblack.load(tmp_path / "own.model", networks=wrong)


def test_networks_for_a_model_that_holds_its_own_are_refused(saved: Path) -> None:
    with pytest.raises(InvalidInput, match="holds its networks"):
        lampblack.load(saved, networks=own_networks())


@pytest.mark.parametrize("library", [pickle, joblib], ids=["pickle", "joblib"])
def test_pickle_and_joblib_keep_the_scores(
    library: object,
    fitted_frame: lampblack.TollDetector,
    frame: pd.DataFrame,
    tmp_path: Path,
) -> None:
    with (tmp_path / "detector").open("wb") as file:
        library.dump(fitted_frame, file)
    with (tmp_path / "detector").open("rb") as file:
        loaded = library.load(file)
    np.testing.assert_array_equal(loaded.anomaly_score(frame), fitted_frame.anomaly_score(frame))


def test_model_card_states_promise_columns_and_use(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    assert "at most 1.00% raise an" in card
    assert "| flow | number | yes |" in card
    assert "lampblack.load" in card


def test_folder_records_versions_and_threads(saved: Path) -> None:
    config = read_config(saved)
    assert {"lampblack", "torch", "numpy", "python"} <= config.versions.keys()
    assert config.threads == torch.get_num_threads()


@pytest.mark.parametrize("path", sorted(FORMER.glob("*.model")), ids=lambda path: path.stem)
def test_model_of_every_format_since_the_first_release_loads(path: Path) -> None:
    detector = lampblack.load(path)
    expected = json.loads((FORMER / f"{path.stem}.json").read_text())
    if "images" in expected:
        X = np.array(expected["images"], dtype=np.uint8)
    elif (FORMER / f"{path.stem}.parquet").exists():
        X = pq.read_table(FORMER / f"{path.stem}.parquet")
    else:
        X = pd.DataFrame(expected["rows"]).assign(at=lambda f: pd.to_datetime(f["at"]))
    np.testing.assert_allclose(detector.anomaly_score(X), expected["scores"], rtol=1e-4)
    assert detector.predict(X).tolist() == expected["predictions"]
    if "contributions" in expected:
        explained = detector.explain(X).contributions
        np.testing.assert_allclose(explained, expected["contributions"], rtol=1e-3, atol=1e-5)


def test_a_portable_model_of_the_first_release_scores_as_it_did() -> None:
    portable = lampblack.load_portable(FORMER / "format-3.onnx")
    expected = json.loads((FORMER / "format-3-onnx.json").read_text())
    found = portable.anomaly_score(pd.DataFrame(expected["rows"]))
    np.testing.assert_allclose(found, expected["scores"], rtol=1e-5)
    assert portable.kind.name == "table"


def test_a_model_of_each_format_since_the_first_release_is_kept() -> None:
    from lampblack.persistence.config import FORMAT

    kept = {
        json.loads((path / "config.json").read_text())["format"] for path in FORMER.glob("*.model")
    }
    assert kept == set(range(3, FORMAT + 1))


def test_errors_are_of_one_family() -> None:
    assert issubclass(ModelFileError, LampblackError)
    assert issubclass(InvalidInput, ValueError)


def test_failed_rename_puts_the_old_model_back(
    fitted: lampblack.TollDetector,
    fitted_frame: lampblack.TollDetector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    fitted.save(tmp_path / "a.model")
    rename = os.rename

    def fail_into_place(source: Path, target: Path) -> None:
        if str(source).endswith(".new"):
            raise OSError("interrupted")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_into_place)
    with pytest.raises(OSError, match="interrupted"):
        fitted_frame.save(tmp_path / "a.model")
    assert not lampblack.load(tmp_path / "a.model").schema_.named
    assert [path.name for path in tmp_path.iterdir()] == ["a.model"]


def test_saving_through_a_link_keeps_the_link(
    fitted: lampblack.TollDetector, fitted_frame: lampblack.TollDetector, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "real.model")
    (tmp_path / "link.model").symlink_to("real.model")
    fitted_frame.save(tmp_path / "link.model")
    assert (tmp_path / "link.model").is_symlink()
    assert lampblack.load(tmp_path / "real.model").schema_.named


@pytest.mark.parametrize(
    "scores", [[5.0, 1.0, 3.0], [], [float("nan")]], ids=["unsorted", "empty", "nan"]
)
def test_calibration_scores_that_cannot_be_are_refused(
    saved: Path, tmp_path: Path, load: Any, scores: list[float]
) -> None:
    from safetensors.torch import save

    copy = shutil.copytree(saved, tmp_path / "scores.model")
    content = save({"scores": torch.tensor(scores, dtype=torch.float64)})
    rewrite(copy, "calibration.safetensors", content)
    with pytest.raises(ModelFileError, match="do not fit together"):
        load(copy)


def test_one_score_cannot_promise_what_takes_many(saved: Path, tmp_path: Path, load: Any) -> None:
    from safetensors.torch import save

    copy = shutil.copytree(saved, tmp_path / "one.model")
    threshold = json.loads((copy / "config.json").read_text())["calibration"]["threshold"]
    scores = torch.tensor([threshold], dtype=torch.float64)
    rewrite(copy, "calibration.safetensors", save({"scores": scores}))
    with pytest.raises(ModelFileError, match="1 calibration scores cannot promise"):
        load(copy)


def test_a_card_that_is_no_text_is_refused(saved: Path, tmp_path: Path, load: Any) -> None:
    copy = shutil.copytree(saved, tmp_path / "card.model")
    rewrite(copy, "README.md", b"\xff\xfe model")
    with pytest.raises(ModelFileError, match=r"README\.md is not text in UTF-8"):
        load(copy)


def test_networks_that_would_fill_the_memory_are_refused_before_they_are_made(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lampblack.model import folder

    made, build = [], folder.build

    def watched(*args: Any, **kwargs: Any) -> Any:
        networks, score = build(*args, **kwargs)
        made.append({value.device.type for value in networks.parameters()})
        return networks, score

    monkeypatch.setattr(folder, "build", watched)
    copy = shutil.copytree(saved, tmp_path / "large.model")
    parameters = json.loads((copy / "config.json").read_text())["parameters"]
    change_config(copy, parameters={**parameters, "hidden": [200_000, 200_000]})
    with pytest.raises(ModelFileError, match="the parameters ask for"):
        lampblack.load(copy)
    assert made == [{"meta"}]


def test_weights_of_parts_below_zero_are_refused(tmp_path: Path, load: Any) -> None:
    from safetensors.torch import load_file, save

    copy = shutil.copytree(FORMER / "format-3-lampblack.model", tmp_path / "below.model")
    weights = load_file(copy / "weights.safetensors")
    weights["weights"] = -torch.ones_like(weights["weights"])
    rewrite(copy, "weights.safetensors", save(weights))
    with pytest.raises(ModelFileError, match="parts are not all positive"):
        load(copy)
