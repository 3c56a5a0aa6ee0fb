"""The commands on images, as a stranger types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
from PIL import Image

import lampblack
from tests.cli.test_commands import QUICK, refused, run
from tests.conftest import discs


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MVTec's layout with a fitted model beside it."""
    root = tmp_path_factory.mktemp("images")
    for i, image in enumerate(discs(200)[:, 0]):
        save(root / "parts" / "train" / "good" / f"{i:03}.png", image)
    for i, image in enumerate(discs(30, seed=1)[:, 0]):
        save(root / "parts" / "test" / "good" / f"{i:03}.png", image)
    for i, image in enumerate(discs(20, seed=2)[:, 0]):
        mask = np.zeros((16, 16), np.uint8)
        mask[1:5, 9:13] = 255
        image[mask > 0] = 255
        save(root / "parts" / "test" / "dent" / f"{i:03}.png", image)
        save(root / "parts" / "ground_truth" / "dent" / f"{i:03}_mask.png", mask)
    fitted = run("fit", root / "parts" / "train" / "good", "-o", root / "part.model", *QUICK)
    assert fitted.exit_code == 0, fitted.output
    assert "91 images trained, 10 validated, 99 calibrated" in fitted.stdout
    assert "of new normal images raise an alarm" in fitted.stdout
    return root


def test_score_writes_every_image(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    result = run("score", parts / "part.model", parts / "parts" / "test", "-o", out)
    assert result.exit_code == 0, result.output
    assert "50 images, " in result.stdout
    table = pa_parquet.read_table(out)
    assert table.column_names == ["image", "anomaly_score", "p_value", "decision"]
    assert table["image"][0].as_py() == "dent/000.png"
    detector = lampblack.load(parts / "part.model")
    expected = detector.anomaly_score(parts / "parts" / "test")
    np.testing.assert_array_equal(table["anomaly_score"].to_numpy(), expected)
    np.testing.assert_array_equal(
        np.array(table["decision"].to_pylist()) == "anomaly",
        detector.predict(parts / "parts" / "test") == -1,
    )


def test_score_shows_the_strongest_alarms(parts: Path) -> None:
    result = run("score", parts / "part.model", parts / "parts")
    assert result.exit_code == 0, result.output
    assert "10 strongest alarms" in result.stdout
    assert "test/dent/" in result.stdout
    assert "strongest at (column, row)" in result.stdout
    assert result.stdout.endswith("for every image, --heatmaps FOLDER for maps\n")


def test_heat_maps_of_every_image_on_one_scale(parts: Path, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    command = ("score", parts / "part.model", parts / "parts" / "test", "--heatmaps", maps)
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "wrote 50 heat maps and contact-sheet.png" in result.stdout
    assert result.stdout.endswith("give -o scores.csv (or .parquet) for every image\n")
    drawn = sorted(path.relative_to(maps).as_posix() for path in maps.rglob("*.png"))
    assert len(drawn) == 51
    assert drawn[:2] == ["contact-sheet.png", "images/dent/000.png"]
    picture = np.asarray(Image.open(maps / "images" / "dent" / "000.png")).astype(int)
    assert picture.shape == (160, 3 * 160 + 16, 3)
    shown = np.asarray(Image.open(parts / "parts" / "test" / "dent" / "000.png"))
    np.testing.assert_array_equal(picture[::10, :160:10, 0], shown)
    heat = picture[::10, 336::10].sum(axis=2)
    assert heat[1:5, 9:13].mean() > 2 * np.median(heat)
    normal = np.asarray(Image.open(maps / "images" / "good" / "000.png")).astype(int)[:, 336:]
    assert normal.sum() < picture[:, 336:].sum()
    assert not list(tmp_path.glob(".maps*"))
    assert run(*command).exit_code == 0, "heat maps of an earlier run are replaced"


def test_heat_maps_never_take_a_folder_of_something_else(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    data, model = parts / "parts" / "test", parts / "part.model"
    assert "holds other files" in refused("score", model, data, "--heatmaps", tmp_path / "mine")
    assert "is no folder" in refused(
        "score", model, data, "--heatmaps", tmp_path / "mine" / "thesis.txt"
    )
    for inside in (data / "maps", model / "maps", parts):
        line = refused("score", model, data, "--heatmaps", inside)
        assert "lie in each other" in line or "holds other files" in line
    assert "does not exist" in refused("score", model, data, "--heatmaps", tmp_path / "a" / "b")
    (tmp_path / "empty").mkdir()
    assert "lie in each other" in refused(
        "score", model, data, "-o", tmp_path / "empty" / "s.csv", "--heatmaps", tmp_path / "empty"
    )
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert "is no folder" in refused("score", model, data, "--heatmaps", tmp_path / "link")
    assert run("score", model, data, "--heatmaps", tmp_path / "maps").exit_code == 0
    (tmp_path / "maps" / "notes.txt").write_text("x")
    assert "holds other files" in refused("score", model, data, "--heatmaps", tmp_path / "maps")
    assert (tmp_path / "maps" / "notes.txt").exists()


def test_an_image_named_like_the_sheet_keeps_its_map(parts: Path, tmp_path: Path) -> None:
    for name in ("contact-sheet", "other"):
        save(tmp_path / "data" / f"{name}.png", discs(1, seed=4)[0, 0])
    run("score", parts / "part.model", tmp_path / "data", "--heatmaps", tmp_path / "maps")
    drawn = {path.relative_to(tmp_path / "maps").as_posix() for path in tmp_path.rglob("maps/**/*")}
    assert {"contact-sheet.png", "images/contact-sheet.png", "images/other.png"} <= drawn


def test_evaluate_with_masks(parts: Path) -> None:
    result = run("evaluate", parts / "part.model", parts / "parts" / "test", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["images"] == 50
    assert figures["anomalies"] == 20
    assert figures["images_with_masks"] == 50
    assert figures["auroc"] > 0.9
    assert figures["pixel_auroc"] > 0.6
    assert 0 < figures["aupro"] <= 1
    assert "pixel auroc" in run("evaluate", parts / "part.model", parts / "parts").stdout


def test_class_folders(parts: Path, tmp_path: Path) -> None:
    for name, images in (("fine", discs(60, seed=5)), ("broken", 255 - discs(20, seed=6))):
        for i, image in enumerate(images[:, 0]):
            save(tmp_path / "data" / name / f"{i}.png", image)
    data, model = tmp_path / "data", parts / "part.model"
    assert "classes broken, fine; say which is normal" in refused(
        "fit", data, "-o", tmp_path / "m", *QUICK
    )
    assert "say which class is normal, with --normal NAME" in refused("evaluate", model, data)
    result = run("evaluate", model, data, "--normal", "fine", "--json")
    assert json.loads(result.stdout)["anomalies"] == 20
    assert "pixel_auroc" not in result.stdout
    options = ("--normal", "fine", "--false-alarm-rate", "0.05", *QUICK)
    result = run("fit", data, "-o", tmp_path / "m", *options)
    assert result.exit_code == 0, result.output
    assert "37 images trained, 4 validated, 19 calibrated" in result.stdout


def test_array_files(parts: Path, tmp_path: Path) -> None:
    images = np.concatenate([discs(60, seed=5), 255 - discs(10, seed=6)])
    labels = np.repeat(["fine", "broken"], [60, 10])
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    result = run("evaluate", parts / "part.model", tmp_path / "data.npz", "--normal", "fine")
    assert result.exit_code == 0, result.output
    out = tmp_path / "scores.csv"
    assert run("score", parts / "part.model", tmp_path / "data.npz", "-o", out).exit_code == 0
    assert pa_csv.read_csv(out)["image"].to_pylist() == list(range(70))


def test_one_image(parts: Path) -> None:
    result = run("score", parts / "part.model", parts / "parts" / "test" / "dent" / "003.png")
    assert "1 image, 1 alarm (" in result.stdout


def test_calibrate(parts: Path, tmp_path: Path) -> None:
    data = parts / "parts" / "train" / "good"
    options = ("--false-alarm-rate", "0.05", "-o", tmp_path / "new.model")
    result = run("calibrate", parts / "part.model", data, *options)
    assert result.exit_code == 0, result.output
    assert "from 200 images: at most 5.00% of new normal images" in result.stdout


def test_info(parts: Path) -> None:
    result = run("info", parts / "part.model")
    assert "16×16 pixels, 1 channels" in result.stdout
    assert "91 train" in result.stdout
    assert "of new normal images" in result.stdout


def test_unreadable_image_stops_the_run_unless_skipped(parts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    for i, image in enumerate(discs(5, seed=7)[:, 0]):
        save(folder / f"{i}.png", image)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:60])
    (folder / "4.png").write_text("text")
    model, out = parts / "part.model", tmp_path / "scores.csv"
    line = refused("score", model, folder, "-o", out)
    assert f"{folder / '2.png'} is damaged or cut short" in line
    assert "--skip-unreadable" in line
    assert not out.exists()
    result = run("score", model, folder, "-o", out, "--skip-unreadable")
    assert result.exit_code == 0, result.output
    assert "2 images were not readable" in result.stderr
    assert f"{folder / '4.png'} is not an image" in result.stderr
    table = pa_csv.read_csv(out)
    assert table.num_rows == 5
    assert table["image"].to_pylist() == [f"{i}.png" for i in range(5)]
    bad = [row for row in table.to_pylist() if row["decision"] == "unreadable"]
    assert [row["image"] for row in bad] == ["2.png", "4.png"]
    assert all(row["anomaly_score"] is None for row in bad)
    for name in ("0.png", "1.png", "3.png"):
        (folder / name).unlink()
    assert (
        "no image was left to score"
        in refused("score", model, folder, "--skip-unreadable", "-o", out).splitlines()[-1]
    )


def test_other_size_needs_resize(parts: Path, tmp_path: Path) -> None:
    for i, image in enumerate(discs(3, size=24)[:, 0]):
        save(tmp_path / "big" / f"{i}.png", image)
    model = parts / "part.model"
    assert "0.png has 24×24 pixels, and the model takes 16×16; resize it" in refused(
        "score", model, tmp_path / "big"
    )
    assert "has 24×24 pixels" in refused("score", model, tmp_path / "big", "--skip-unreadable")
    assert run("score", model, tmp_path / "big", "--resize").exit_code == 0


def test_masks_are_checked_and_missing_ones_counted(parts: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(parts / "parts", tmp_path / "parts")
    masks = tmp_path / "parts" / "ground_truth" / "dent"
    for i in range(5):
        (masks / f"{i:03}_mask.png").unlink()
    image = Image.open(masks / "005_mask.png")
    (masks / "005_mask.png").unlink()
    image.save(masks / "005.bmp")
    result = run("evaluate", parts / "part.model", tmp_path / "parts", "--json")
    assert json.loads(result.stdout)["images_with_masks"] == 45
    assert "5 of 20 anomalies have no mask" in result.stderr
    save(masks / "006_mask.png", np.zeros((8, 32), np.uint8))
    assert "006_mask.png has 32×8 pixels, and its image 16×16" in refused(
        "evaluate", parts / "part.model", tmp_path / "parts"
    )


def test_a_path_that_does_not_exist_is_said_so(parts: Path, tmp_path: Path) -> None:
    for command in ("score", "evaluate", "calibrate"):
        assert "nowhere does not exist" in refused(
            command, parts / "part.model", tmp_path / "nowhere"
        )
    assert "nowhere does not exist" in refused("fit", tmp_path / "nowhere", "-o", tmp_path / "m")


def test_options_of_tables_and_images_are_not_mixed_up(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    data, model, rows = parts / "parts" / "test", parts / "part.model", tmp_path / "rows.csv"
    assert "--explain is for tables" in refused("score", model, data, "--explain", 2)
    assert "--id is for tables" in refused("score", model, data, "--id", "part")
    assert "--where is for tables" in refused("fit", data, "-o", "m", "--where", "a > 1")
    assert "--label is for tables" in refused("evaluate", model, data, "--label", "y")
    assert "--heatmaps is for images" in refused("score", model, rows, "--heatmaps", "maps")
    assert "--image-size is for images" in refused("fit", rows, "-o", "m", "--image-size", 32)
    assert "was fitted on images, and" in refused("score", model, rows)
    assert "say which column holds the label" in refused("evaluate", model, rows)
    run("fit", rows, "-o", tmp_path / "table.model", "--false-alarm-rate", 0.5, *QUICK)
    assert "was fitted on a table, and" in refused("score", tmp_path / "table.model", data)


def test_image_size_and_network_by_name(parts: Path, tmp_path: Path) -> None:
    data = parts / "parts" / "train" / "good"
    result = run("fit", data, "-o", tmp_path / "m", "--image-size", 12, *QUICK)
    assert result.exit_code == 0, result.output
    assert lampblack.load(tmp_path / "m").schema_.shape == (1, 12, 12)
    assert "takes images of shape (1, 28, 28)" in refused(
        "fit", data, "-o", tmp_path / "n", "--network", "toll-mnist", *QUICK
    )


def test_output_is_not_written_over_the_images(parts: Path) -> None:
    data = parts / "parts" / "test"
    assert "lies in the model's folder" in refused(
        "score", parts / "part.model", data, "-o", parts / "part.model" / "a.csv"
    )


def test_odd_masks_are_noted_and_images_are_judged_all_the_same(
    parts: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(parts / "parts", tmp_path / "parts")
    masks = tmp_path / "parts" / "ground_truth"
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    most = np.where(np.arange(16) < 10, white, black)
    for i, mask in enumerate((black, black, white, most)):
        save(masks / "dent" / f"{i:03}_mask.png", mask)
    good = next((tmp_path / "parts" / "test" / "good").iterdir()).stem
    save(masks / "good" / f"{good}_mask.png", most)
    command = ("evaluate", parts / "part.model", tmp_path / "parts", "--json")
    result = run(*command)
    assert json.loads(result.stdout)["images_with_masks"] == 48
    said = " ".join(result.stderr.split())
    assert "mark nothing of an anomaly, and which the figures over pixels leave out: 2 (" in said
    assert "masks that mark every pixel of an anomaly: 1 (test/dent/002.png)" in said
    assert "masks that mark more than half of an anomaly, as inverted ones do: 1 (" in said
    assert f"masks that mark something of a normal image: 1 (test/good/{good}.png)" in said
    for path in masks.rglob("*_mask.png"):
        save(path, white if path.parent.name == "dent" else black)
    shutil.rmtree(tmp_path / "parts" / "test" / "good")
    shutil.copytree(parts / "parts" / "test" / "good", tmp_path / "parts" / "test" / "good")
    figures = json.loads(run(*command).stdout)
    assert figures["auroc"] > 0.9
    for path in masks.rglob("*_mask.png"):
        save(path, black)
    result = run(*command)
    assert json.loads(result.stdout)["auroc"] > 0.9
    assert "pixel_auroc" not in result.stdout


@pytest.mark.filterwarnings("default::lampblack.ImageWarning")
def test_commands_say_what_of_the_images_is_not_read(parts: Path, tmp_path: Path) -> None:
    for i, image in enumerate(discs(4, seed=9)[:, 0]):
        first = Image.fromarray(image)
        film = {"save_all": True, "append_images": [Image.fromarray(255 - image)]} if i else {}
        (tmp_path / "new").mkdir(exist_ok=True)
        first.save(tmp_path / "new" / f"{i}.tif", **film)
    result = run("score", parts / "part.model", tmp_path / "new", "-o", tmp_path / "s.csv")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "warning: 3 images (" in said
    assert "1.tif first) have several pictures, of which the first is taken" in said


def test_without_an_alarm_the_sheet_shows_the_highest_scores(parts: Path, tmp_path: Path) -> None:
    good = parts / "parts" / "train" / "good"
    model = lampblack.load(parts / "part.model")
    names = sorted(path.name for path in good.iterdir())
    low = np.argsort(model.anomaly_score(str(good)))[:5]
    for i in low:
        save(tmp_path / "calm" / names[i], np.asarray(Image.open(good / names[i])))
    said = run("score", parts / "part.model", tmp_path / "calm", "--heatmaps", tmp_path / "maps")
    assert "no alarm; 3 highest scores" in said.stdout
    with Image.open(tmp_path / "maps" / "contact-sheet.png") as sheet:
        assert sheet.height > 2 * 160  # two rows of panels
