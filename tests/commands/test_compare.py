"""The `compare` verb: reads what `erf` writes, and draws and counts the differences."""

import json
from pathlib import Path

import numpy as np
import pytest

from gauss_vit import main as program
from gauss_vit.errors import DataError
from gauss_vit.inspect.comparison import read, read_all, result_paths
from gauss_vit.inspect.result_files import write_arrays


def write_field(path: Path, *, seed=0, title="tiny", protocol="bmvc2023", token=(0, 1)):
    values = np.random.default_rng(seed).dirichlet(np.ones(128)).reshape(8, 16)
    radii = np.arange(17.0)
    write_arrays(
        path,
        {
            "erf": values,
            "num_images": np.array(5),
            "magnitude": np.array(1.5),
            "token": np.array(token),
            "grid": np.array((2, 4)),
            "protocol": np.array(protocol),
            "title": np.array(title),
            "radii_px": radii,
            "radial_mass": np.linspace(0, 1, 17),
            "radial_mass_band": np.stack([np.linspace(0, 0.9, 17), np.linspace(0, 1, 17)]),
        },
    )
    return values


def compare(*arguments):
    return program.main(["compare", *map(str, arguments)])


def test_two_files_become_a_figure_with_numbers_and_arrays(tmp_path, capsys):
    first = write_field(tmp_path / "a.npz", seed=0, title="one")
    second = write_field(tmp_path / "b.npz", seed=1, title="two")
    assert compare(tmp_path / "a.npz", tmp_path / "b.npz", f"--out={tmp_path}/out/both") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "both.json",
        "both.npz",
        "both.pdf",
        "both.png",
    ]
    record = json.loads((tmp_path / "out" / "both.json").read_text())["fields"]
    assert [entry["title"] for entry in record] == ["one", "two"]
    assert "against_first" not in record[0]
    assert record[1]["against_first"]["moved_mass"] == pytest.approx(np.abs(first - second).sum() / 2)
    with np.load(tmp_path / "out" / "both.npz") as arrays:
        np.testing.assert_array_equal(arrays["erf"], np.stack([first, second]))
        assert arrays["difference_by_patch"].shape == (1, 2, 4)
    assert "two against one" in capsys.readouterr().out


def test_a_folder_stands_for_its_results_in_name_order(tmp_path):
    for name in ("b", "a"):
        write_field(tmp_path / "runs" / f"{name}.npz")
    write_field(tmp_path / "c.npz")
    for name, arrays in {
        "a.partial": ("key", "values", "num_images", "grid"),
        "a_token-all": ("erf", "tokens", "num_images"),
        "a_layer-all_pre_norm": ("erf", "layers", "tokens", "grids", "num_images"),
        "a_position": ("tables",),
    }.items():
        write_arrays(tmp_path / "runs" / f"{name}.npz", dict.fromkeys(arrays, np.ones((2, 4, 4))))
    compare(*sorted((tmp_path / "runs").glob("[ab].npz")), f"--out={tmp_path}/runs/both", "--format=png")
    paths = result_paths((str(tmp_path / "c.npz"), str(tmp_path / "runs")))
    assert [path.name for path in paths] == ["c.npz", "a.npz", "b.npz"]


def test_titles_that_are_equal_are_told_apart(tmp_path):
    write_field(tmp_path / "a.npz")
    write_field(tmp_path / "b.npz", seed=1, protocol="replknet", token=(1, 2))
    compare(tmp_path / "a.npz", tmp_path / "b.npz", f"--out={tmp_path}/both")
    record = json.loads((tmp_path / "both.json").read_text())["fields"]
    assert [entry["title"] for entry in record] == ["tiny bmvc2023", "tiny replknet"]


def test_equal_maps_of_equal_file_names_are_told_apart_by_their_folders(tmp_path, capsys):
    paths = [tmp_path / run / "erf" / "step_0000100.npz" for run in ("a", "b")]
    for seed, path in enumerate(paths):
        write_field(path, seed=seed, title="tiny, step 100")
    compare(*paths, f"--out={tmp_path}/both")
    record = json.loads((tmp_path / "both.json").read_text())["fields"]
    assert [entry["title"] for entry in record] == [f"tiny, step 100 ({run}/erf/step_0000100)" for run in ("a", "b")]
    assert "tiny, step 100 (b/erf/step_0000100) against tiny, step 100 (a/erf/step_0000100)" in capsys.readouterr().out


def test_only_fields_that_are_alike_are_named_by_their_files(tmp_path):
    paths = [tmp_path / name for name in ("a.npz", "b.npz", "c.npz")]
    for path, title in zip(paths, ("tiny", "tiny", "other"), strict=True):
        write_field(path, title=title)
    assert [field.title for field in read_all(paths)] == ["tiny (a)", "tiny (b)", "other"]


def test_a_file_that_is_named_twice_keeps_its_title(tmp_path):
    write_field(tmp_path / "a.npz")
    assert [field.title for field in read_all([tmp_path / "a.npz"] * 2)] == ["tiny", "tiny"]


def test_a_file_without_bands_is_read(tmp_path):
    write_field(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        write_arrays(tmp_path / "b.npz", {key: archive[key] for key in archive.files if key != "radial_mass_band"})
    assert read(tmp_path / "b.npz").radial_band is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.npz",), "takes 2 to 8 receptive fields and got 1"),
        ((), "takes 2 to 8 receptive fields and got 0"),
        (("a.npz", "missing.npz"), "missing.npz does not exist"),
        (("a.npz", "stacked.npz"), "does not contain the receptive field of one token"),
        (("a.npz", "text.npz"), "text.npz cannot be read: File is not a zip file"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(tmp_path, capsys, names, message):
    write_field(tmp_path / "a.npz")
    write_arrays(tmp_path / "stacked.npz", {"erf": np.ones((2, 4, 4)), "num_images": np.array(1)})
    (tmp_path / "text.npz").write_text("text")
    status = compare(*(tmp_path / name for name in names), f"--out={tmp_path}/both")
    assert status in (2, 3)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "both.png").exists()


@pytest.mark.parametrize("wrong", [{"erf": -1}, {"erf": 0}, {"erf": 2}, {"num_images": -1}])
def test_what_is_not_a_share_of_a_mass_is_no_field(tmp_path, wrong):
    write_field(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        held = {name: arrays[name] * wrong[name] if name in wrong else arrays[name] for name in arrays}
    write_arrays(tmp_path / "b.npz", held)
    with pytest.raises(DataError, match="does not contain the receptive field"):
        read(tmp_path / "b.npz")


def test_metrics_of_runs_become_a_figure(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        line = {"step": 10, "split": "eval", "bbox_AP": 0.5, "segm_AP": 0.25}
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    flags = ("--metrics=eval/segm_AP,eval/bbox_AP", f"--out={tmp_path}/ap", "--format=png")
    assert compare(tmp_path / "a", tmp_path / "b", *flags) == 0
    assert "Mask AP (eval), a: 25 % at step 10" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("ap.*")) == ["ap.json", "ap.png"]
    assert compare(tmp_path / "a", "--metrics=eval/map", f"--out={tmp_path}/no") == 2
    assert "none of 1 runs has logged eval/map" in capsys.readouterr().err


def test_other_verbs_take_no_files(capsys):
    assert program.main(["erf", "a.npz"]) == 2
    assert "unexpected argument 'a.npz'" in capsys.readouterr().err
