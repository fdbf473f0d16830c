"""The `erf` verb with interventions, with every layer, and on Swin transformers."""

import dataclasses
import json

import numpy as np
import pytest

from gauss_vit.commands import erf
from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from tests.commands.erf_runs import drawn, read, run, write_images
from tests.named_models import named_of
from tests.networks import network_params
from tests.tiny_config import MODEL


@pytest.fixture(scope="module")
def named():
    return named_of(MODEL, name="tiny.v1")


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch, named):
    monkeypatch.setattr(erf, "named_model", lambda invocation: named)


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images")


def test_an_intervention_is_in_file_name_and_record(folder, tmp_path):
    run(folder, tmp_path / "a", max_images=2)
    run(folder, tmp_path / "a", max_images=2, intervention="without_gaussian")
    record = json.loads((tmp_path / "a" / "tiny.v1_without_gaussian.json").read_text())
    assert (record["model"], record["intervention"]) == ("tiny.v1_without_gaussian", "without_gaussian")
    assert json.loads((tmp_path / "a" / "tiny.v1.json").read_text())["intervention"] == "none"
    before, after = (read(tmp_path / "a" / f"tiny.v1{end}.npz")["erf"] for end in ("", "_without_gaussian"))
    assert np.abs(before - after).max() > 1e-6


def test_several_interventions_are_measured_and_compared_with_the_first(folder, tmp_path):
    out = drawn(folder, tmp_path / "out", max_images=2, intervention="none,zero,without_gaussian")
    stems = ["tiny.v1", "tiny.v1_interventions", "tiny.v1_without_gaussian", "tiny.v1_zero"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{stem}.{suffix}" for stem in stems for suffix in ("json", "npz", "png")
    )
    fields = json.loads((out / "tiny.v1_interventions.json").read_text())["fields"]
    assert [field["title"] for field in fields] == [
        f"tiny.v1{name}, step 5" for name in ("", "_zero", "_without_gaussian")
    ]
    # A Gaussian of amplitude 0 and none are the same.
    zero, without = (read(out / f"tiny.v1_{name}.npz")["erf"] for name in ("zero", "without_gaussian"))
    np.testing.assert_allclose(zero, without, rtol=1e-4, atol=1e-9)
    assert fields[1]["against_first"]["moved_mass"] > 1e-4


def test_every_layer_is_measured_and_drawn_as_a_strip(folder, tmp_path):
    out = run(folder, tmp_path / "out", max_images=2, layer="all")
    stem = "tiny.v1_layer-all"
    assert sorted(path.name for path in out.iterdir()) == [f"{stem}.{end}" for end in ("json", "npz", "png")]
    arrays, record = read(out / f"{stem}.npz"), json.loads((out / f"{stem}.json").read_text())
    assert arrays["erf"].shape == (2, 16, 32)
    np.testing.assert_allclose(arrays["erf"].sum(axis=(1, 2)), 1)
    assert [(layer["layer"], layer["num_blocks"]) for layer in record["layers"]] == [(0, 1), (1, 2)]
    one = read(run(folder, tmp_path / "one", max_images=2, layer="1", bands=False) / "tiny.v1_layer-1.npz")
    np.testing.assert_allclose(arrays["erf"][0], one["erf"], rtol=1e-5, atol=1e-10)


def test_strips_of_several_interventions_are_put_together(folder, tmp_path):
    out = drawn(folder, tmp_path, max_images=1, layer="all", intervention="none,zero")
    assert (out / "tiny.v1_layer-all_interventions.png").stat().st_size > 5000
    assert (out / "tiny.v1_zero_layer-all.npz").is_file()


SWIN = SwinConfig(
    image_size=(16, 32),
    patch_size=(4, 4),
    width=8,
    depths=(1, 2),
    num_heads=(1, 2),
    window=(2, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(terms=(Gaussian(),)),
)


def test_sums_of_layers_stay_until_the_results_are_written(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise StorageError("cannot write")

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(erf, "write_layers", full)
        run(folder, tmp_path / "out", max_images=1, layer="all")
    assert len(list((tmp_path / "out").glob("*.partial.npz"))) == 2
    run(folder, tmp_path / "out", max_images=1, layer="all")
    assert not list((tmp_path / "out").glob("*.partial.npz"))


@pytest.mark.parametrize("options", [{}, {"layer": "2"}, {"layer": "all"}])
def test_an_image_that_is_not_whole_patches_is_refused_before_anything_is_measured(
    folder, tmp_path, monkeypatch, options, named
):
    swin = dataclasses.replace(SWIN, image_size=(36, 32))
    monkeypatch.setattr(erf, "named_model", lambda invocation: dataclasses.replace(named, config=swin))
    with pytest.raises(ConfigError, match="36 x 32 are not a whole number of patches of 8 x 8"):
        run(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_every_layer_of_a_swin_transformer_is_measured_at_the_centre_of_its_own_grid(
    folder, tmp_path, named, monkeypatch
):
    swin = dataclasses.replace(named, config=SWIN, params=network_params(SWIN, num_classes=10))
    monkeypatch.setattr(erf, "named_model", lambda invocation: swin)
    arrays = read(drawn(folder, tmp_path, max_images=1, layer="all") / "tiny.v1_layer-all.npz")
    assert arrays["erf"].shape == (3, 16, 32)
    assert arrays["grids"].tolist() == [[4, 8], [2, 4], [2, 4]]
    assert arrays["tokens"].tolist() == [[1, 3], [0, 1], [0, 1]]
    # The first block attends within windows of 2 x 4 patches of 4 px.
    assert arrays["erf"][0][:8, :16].sum() == pytest.approx(1)
    assert (tmp_path / "tiny.v1_layer-all.png").stat().st_size > 5000
    with pytest.raises(ConfigError, match="another place in each"):
        run(folder, tmp_path, max_images=1, layer="all", token="0,1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intervention": "zeros"}, "'zeros' is none"),
        ({"intervention": "paper_code"}, "nothing that the intervention paper_code could change"),
        ({"intervention": "none,zero", "token": "all"}, "one intervention"),
        ({"layer": "all", "token": "all"}, "one layer"),
    ],
)
def test_interventions_that_cannot_be_are_refused(folder, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        run(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
