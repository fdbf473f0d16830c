"""The `erf` verb: its files hold what was asked for, whatever the batch size."""

import dataclasses
import json

import numpy as np
import pytest

from gauss_vit.analysis.gaussian_fit import image_bounds
from gauss_vit.assembly.named_model import IMAGENET
from gauss_vit.commands import erf
from gauss_vit.errors import ConfigError, DataError
from tests.commands.erf_runs import drawn, read, run, write_images
from tests.detecting import detecting_model
from tests.named_models import named_of
from tests.segmenter import segmenter
from tests.tiny_config import MODEL

METRIC_KEYS = [
    "shape",
    "sum",
    "min",
    "max",
    "argmax_yx",
    "center_yx",
    "center_value",
    "com_x",
    "com_y",
    "radial_cumulative_mass",
]


@pytest.fixture(scope="module")
def named():
    return named_of(MODEL, name="tiny.v1")


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch, named):
    monkeypatch.setattr(erf, "named_model", lambda invocation: named)


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images")


def test_arrays_record_and_picture_are_written_under_the_models_name(folder, tmp_path, capsys):
    out = drawn(folder, tmp_path / "out", format=None)
    assert sorted(path.name for path in out.iterdir()) == ["tiny.v1.json", "tiny.v1.npz", "tiny.v1.pdf", "tiny.v1.png"]
    arrays = read(out / "tiny.v1.npz")
    assert arrays["erf"].shape == (16, 32)
    assert arrays["erf"].dtype == np.float64
    assert arrays["erf"].sum() == pytest.approx(1, abs=1e-12)
    assert arrays["num_images"] == 10
    assert "10 images" in capsys.readouterr().out


def test_the_record_has_openerfs_keys_and_the_fit(folder, tmp_path):
    record = json.loads((run(folder, tmp_path) / "tiny.v1.json").read_text())
    assert list(record)[: len(METRIC_KEYS)] == METRIC_KEYS
    assert record["shape"] == [16, 32]
    assert (record["token"], record["grid"], record["num_images"], record["step"]) == ([0, 1], [2, 4], 10, 5)
    assert {"sigma_x", "sigma_y", "r_squared", "converged"} <= set(record["gaussian_fit"])
    assert record["data_config"]["input_size"] == [3, 16, 32]
    assert record["data_config"]["mean"] == list(IMAGENET.mean)


def test_batch_size_and_padding_do_not_matter(folder, tmp_path):
    expected = read(run(folder, tmp_path / "a", batch_size=16) / "tiny.v1.npz")
    result = read(run(folder, tmp_path / "b", batch_size=3) / "tiny.v1.npz")
    assert result["num_images"] == expected["num_images"]
    np.testing.assert_allclose(result["erf"], expected["erf"], rtol=1e-4, atol=1e-8)


def test_max_images_takes_the_first_in_name_order(folder, tmp_path):
    few = read(run(folder, tmp_path / "a", max_images=1) / "tiny.v1.npz")
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    only = read(run(folder, tmp_path / "b") / "tiny.v1.npz")
    assert few["num_images"] == 1
    np.testing.assert_array_equal(few["erf"], only["erf"])


def test_what_differs_from_the_default_is_in_the_file_name(folder, tmp_path):
    run(folder, tmp_path, token="1,2", layer="1", protocol="pre_norm", max_images=1)
    record = json.loads((tmp_path / "tiny.v1_token-1-2_layer-1_pre_norm.json").read_text())
    assert (record["token"], record["layer"], record["num_blocks"]) == ([1, 2], 0, 1)
    assert record["protocol"] == "pre_norm"


def test_decoder_of_a_segmentation_is_a_layer(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(erf, "named_model", lambda invocation: segmenter())
    run(folder, tmp_path, token="1,2", layer="decoder", max_images=2)
    record = json.loads((tmp_path / "shore_token-1-2_layer-decoder.json").read_text())
    assert (record["layer"], record["num_blocks"], record["grid"]) == ("decoder", 2, [2, 4])
    # The head reads the end of the backbone.
    run(folder, tmp_path, token="1,2", max_images=2)
    decoded, last = (read(tmp_path / f"shore_token-1-2{name}.npz")["erf"] for name in ("_layer-decoder", ""))
    np.testing.assert_allclose(decoded, last, rtol=1e-4, atol=1e-9)
    with pytest.raises(ConfigError, match="one layer of the backbone"):
        run(folder, tmp_path, token="all", layer="decoder")


@pytest.mark.full
def test_levels_of_a_detector_are_layers(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(erf, "named_model", lambda invocation: detecting_model())
    run(folder, tmp_path, layer="p3", max_images=1)
    record = json.loads((tmp_path / "finder_layer-p3.json").read_text())
    assert (record["layer"], record["grid"]) == ("p3", [8, 12])


def test_box_of_a_detector_is_a_target(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(erf, "named_model", lambda invocation: detecting_model())
    run(folder, tmp_path, box=1, max_images=1)
    said, *_ = capsys.readouterr().out.splitlines()
    record = json.loads((tmp_path / "finder_box-1.json").read_text())
    assert said.startswith("box 1: index ") and record["layer"] == "box 1" and record["bands"] is None
    # The target is the pixel in the centre of the box.
    found = dict(part.split(" ") for part in said.removeprefix("box 1: ").split(", "))
    x, y, width, height = (int(found[name]) for name in ("x", "y", "width", "height"))
    assert record["grid"] == [64, 96]
    np.testing.assert_allclose(record["token"], [y + height / 2, x + width / 2], atol=1.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_images": 2}, "a box is in one image, and there are 2"),
        ({"max_images": 1, "box": 8}, "finds 8 boxes in this image, and --box=8 is not among them"),
        ({"layer": "p3"}, "does not go with --layer"),
        ({"token": "1,1"}, "does not go with --token"),
        ({"intervention": "zero"}, "does not go with --intervention"),
        ({"max_images": 1, "protocol": "pre_norm"}, "residual stream"),
    ],
)
def test_a_box_is_one_of_a_single_image_and_the_only_target(folder, tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(erf, "named_model", lambda invocation: detecting_model())
    with pytest.raises(ConfigError, match=message):
        run(folder, tmp_path, **({"box": 0} | options))


def test_a_classifier_has_no_boxes_and_no_pyramid(folder, tmp_path):
    with pytest.raises(ConfigError, match="predicts no boxes"):
        run(folder, tmp_path, box=0, max_images=1)
    with pytest.raises(ConfigError, match="LinearHead has no pyramid"):
        run(folder, tmp_path, layer="p3")


def test_figures_are_written_in_the_formats_that_are_asked_for(folder, tmp_path, capsys):
    out = drawn(folder, tmp_path / "out", max_images=1, format="svg,png")
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".npz", ".png", ".svg"]
    assert (out / "tiny.v1.svg").read_bytes().startswith(b"<?xml ")
    assert "tiny.v1.npz .json .svg .png:" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="takes png, pdf, svg and got jpeg"):
        run(folder, tmp_path, format="png,jpeg")


def test_all_tokens_are_stacked(folder, tmp_path):
    drawn(folder, tmp_path, token="all", max_images=2)
    arrays = read(tmp_path / "tiny.v1_token-all.npz")
    assert arrays["erf"].shape == (8, 16, 32)
    assert arrays["tokens"].tolist()[5] == [1, 1]
    records = json.loads((tmp_path / "tiny.v1_token-all.json").read_text())["tokens"]
    assert [record["token"] for record in records] == arrays["tokens"].tolist()
    assert (tmp_path / "tiny.v1_token-all.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "bmvc"}, "--protocol must be bmvc2023, pre_norm"),
        ({"token": "2,0"}, "outside the grid of 2 x 4"),
        ({"layer": "first"}, "expected a layer as last or a number"),
        ({"layer": "9"}, "no layer 9"),
        ({"images": None}, "needs --images"),
    ],
)
def test_wrong_flags_are_refused_and_nothing_is_written(folder, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        run(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_is_named(folder, tmp_path):
    (folder / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3\.png"):
        run(folder, tmp_path / "out")


def test_a_bias_that_layer_scale_hides_is_said(folder, tmp_path, monkeypatch, capsys):
    hidden = named_of(dataclasses.replace(MODEL, layer_scale=1e-6))
    monkeypatch.setattr(erf, "named_model", lambda invocation: hidden)
    run(folder, tmp_path, max_images=1, bands=False)
    assert capsys.readouterr().err.count("LayerScale hides the position bias") == 1


def test_several_image_sizes_are_measured_and_put_side_by_side(folder, tmp_path, capsys):
    out = run(folder, tmp_path / "out", image_sizes="16x32,32x48", max_images=2, bands=False)
    assert {path.name for path in out.iterdir()} >= {
        "tiny.v1.npz",
        "tiny.v1_size-32x48.npz",
        "tiny.v1_sizes.json",
        "tiny.v1_sizes.png",
    }
    assert read(out / "tiny.v1_size-32x48.npz")["erf"].shape == (32, 48)
    sizes = json.loads((out / "tiny.v1_sizes.json").read_text())["sizes"]
    assert [(size["image_size"], size["grid"]) for size in sizes] == [([16, 32], [2, 4]), ([32, 48], [4, 6])]
    assert sizes[1]["half_mass_radius_share"] == pytest.approx(sizes[1]["half_mass_radius"] / 32)
    assert sizes[1]["half_mass_radius_patches"] == pytest.approx(sizes[1]["half_mass_radius"] / 8)
    assert "32 x 48    4 x 6" in capsys.readouterr().out


def test_the_comparison_of_sizes_has_the_fits_of_every_size(folder, tmp_path, monkeypatch):
    limits = image_bounds(2, 2)
    monkeypatch.setattr(erf, "image_bounds", lambda height, width: limits)
    out = run(folder, tmp_path / "out", image_sizes="16x32,32x48", max_images=1, bands=False, fit="bounded")
    sizes = json.loads((out / "tiny.v1_bounded_sizes.json").read_text())["sizes"]
    for size, name in zip(sizes, ("tiny.v1_bounded", "tiny.v1_size-32x48_bounded"), strict=True):
        fit = json.loads((out / f"{name}.json").read_text())["gaussian_fit"]
        assert size["gaussian_fit"] == fit
        assert max(fit["center_x"], fit["center_y"]) <= 1


def test_one_image_size_is_measured_by_itself(folder, tmp_path):
    out = run(folder, tmp_path / "out", image_sizes="32x48", max_images=1, bands=False)
    assert read(out / "tiny.v1_size-32x48.npz")["erf"].shape == (32, 48)
    assert not (out / "tiny.v1_sizes.json").exists()


def test_the_preparation_of_images_can_be_chosen(folder, tmp_path):
    out = run(folder, tmp_path / "out", max_images=1, bands=False, crop=1.0, mean="0.5", std="0.1,0.2,0.3")
    record = json.loads((out / "tiny.v1_crop-1.0_mean-0.5_std-0.1-0.2-0.3.json").read_text())
    assert record["data_config"]["crop_pct"] == 1.0
    assert record["data_config"]["mean"] == [0.5, 0.5, 0.5]
    assert record["data_config"]["std"] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_sizes": "16x32,16x32"}, "names a size twice"),
        ({"image_sizes": "large"}, "not an image size"),
        ({"image_sizes": "16x32,32x48", "layer": "all"}, "several --image_sizes go with a central token"),
        ({"image_sizes": "16x32,32x48", "intervention": "none,zero"}, "several --image_sizes go with a central token"),
        ({"image_sizes": "16x32,32x48", "token": "1,1"}, "several --image_sizes go with a central token"),
        ({"image_sizes": "16x32,15"}, "15"),
        ({"mean": "0.5,0.5"}, "expected --mean as R,G,B"),
        ({"std": "white"}, "expected --std as R,G,B"),
        ({"image_sizes": "15"}, "15"),
    ],
)
def test_sizes_and_preparations_that_cannot_be_are_refused(folder, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        run(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no images"):
        run(tmp_path, tmp_path / "out")


def test_the_record_has_summary_and_bands(folder, tmp_path):
    out = run(folder, tmp_path)
    record, arrays = json.loads((out / "tiny.v1.json").read_text()), read(out / "tiny.v1.npz")
    assert record["from_target"]["target_yx"] == [3.5, 11.5]
    assert record["bands"]["num_groups"] == 10
    low, high = record["bands"]["half_mass_radius"]
    assert low <= record["from_target"]["half_mass_radius"] <= high
    low, high = arrays["radial_mass_band"]
    assert (low <= high).all()
    assert arrays["radii_px"].shape == arrays["radial_mass"].shape == low.shape
    assert record["dtype"] == "float32"


def test_bands_can_be_left_out(folder, tmp_path):
    out = run(folder, tmp_path, bands=False)
    assert json.loads((out / "tiny.v1.json").read_text())["bands"] is None
    assert "radial_mass_band" not in read(out / "tiny.v1.npz")


def test_bands_do_not_change_the_map(folder, tmp_path):
    with_bands = read(run(folder, tmp_path / "a") / "tiny.v1.npz")["erf"]
    without = read(run(folder, tmp_path / "b", bands=False) / "tiny.v1.npz")["erf"]
    np.testing.assert_allclose(with_bands, without, rtol=1e-5, atol=1e-10)


def test_half_precision_and_the_bounded_fit_are_in_the_file_name(folder, tmp_path):
    run(folder, tmp_path, dtype="bfloat16", fit="bounded")
    record = json.loads((tmp_path / "tiny.v1_bfloat16_bounded.json").read_text())
    assert record["dtype"] == "bfloat16"
    assert 0 <= record["gaussian_fit"]["center_x"] <= 31


@pytest.mark.parametrize("protocol", ["replknet", pytest.param("luo2016", marks=pytest.mark.full)])
def test_other_protocols_are_measured_by_name(folder, tmp_path, protocol):
    run(folder, tmp_path, protocol=protocol, max_images=2)
    record = json.loads((tmp_path / f"tiny.v1_{protocol}.json").read_text())
    assert record["protocol"] == protocol
    # RepLKNet's centre of a 2 x 4 grid is the lower right one of the four.
    assert record["token"] == ([1, 2] if protocol == "replknet" else [0, 1])


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"fit": "tight"}])
def test_unknown_words_are_refused(folder, tmp_path, options):
    with pytest.raises(ConfigError, match=r"--(dtype|fit) must be"):
        run(folder, tmp_path / "out", **options)


def test_damaged_images_are_left_out_on_request_and_counted(folder, tmp_path, capsys):
    expected = read(run(folder, tmp_path / "a") / "tiny.v1.npz")
    whole = (folder / "0.png").read_bytes()
    (folder / "00.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="or add --skip_bad"):
        run(folder, tmp_path / "b")
    capsys.readouterr()
    result = read(run(folder, tmp_path / "b", skip_bad="true") / "tiny.v1.npz")
    np.testing.assert_array_equal(result["erf"], expected["erf"])
    errors = capsys.readouterr().err.splitlines()
    assert f"skipped {folder / '00.png'}: " in errors[0]
    assert errors[1] == "gauss_vit: warning: skipped 1 of 11 images"
