"""The `report` verb: its page holds the model's own fields, biases and attention."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit import main as program
from gauss_vit.analysis.protocol import PRE_NORM
from gauss_vit.assembly.named_model import IMAGENET, NamedModel, trained
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.heads.linear import LinearHead
from gauss_vit.inspect.photos import Photo, photos_of_run
from gauss_vit.inspect.report.contents import make_report
from gauss_vit.inspect.report.layer_fields import FieldPlan
from gauss_vit.inspect.report.layers import attention_start, layers_of
from gauss_vit.inspect.report.packing import CompandedMaps, expand, unpack
from gauss_vit.inspect.report.page import render
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.gaussian import Gaussian
from tests.models.built import build
from tests.networks import classifier
from tests.tiny_config import MODEL

SWIN = SwinConfig(
    image_size=(16, 32),
    patch_size=(4, 4),
    width=8,
    depths=(1, 2),
    num_heads=(1, 2),
    window=(2, 4),
    relative=None,
    gaussian=Gaussian(anisotropic=True),
    biases="all",
    similarity="product",
    norm="before",
)


def named_of(config: ViTConfig | SwinConfig) -> NamedModel:
    graph, state = nnx.split(build(classifier(config, 10), jax.random.key(0)))
    return NamedModel(
        name="tiny",
        config=config,
        head=LinearHead(num_classes=10),
        graph=graph,
        params=nnx.to_pure_dict(state),
        step=5,
        transform=ResizeCenterCrop(),
        normalization=IMAGENET,
    )


def photos(num_images: int) -> tuple[Photo, ...]:
    draws = np.random.default_rng(0).integers(256, size=(num_images, 16, 32, 3)).astype(np.uint8)
    return tuple(Photo(name=f"{index}.png", pixels=pixels) for index, pixels in enumerate(draws))


def plan(num_images: int) -> FieldPlan:
    return FieldPlan(photos=photos(num_images), protocol=PRE_NORM, layers="all", batch_size=2, page=None)


def document(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(text)


@pytest.fixture(scope="module")
def page_of_run(workdir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("report") / "page.html"
    command = ["report", f"--workdir={workdir}", f"--out={out}", "--max_images=5", "--show_images=2", "--batch_size=4"]
    assert program.main([*command, "--protocol=pre_norm"]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    return document(out.read_text(encoding="utf-8"))


def test_run_is_shown_on_its_own_evaluation_images(page_of_run: dict):
    assert (page_of_run["model"], page_of_run["step"], page_of_run["measured"]) == ("tiny", 4, 5)
    assert [image["name"] for image in page_of_run["images"]] == ["test[:50] 1", "test[:50] 2"]
    assert [len(field["numbers"]["sigma_x"]) for field in page_of_run["fields"]] == [8, 8]
    assert any("first 2 of the 5" in note for note in page_of_run["notes"])


def test_attention_of_the_page_is_that_of_the_model(page_of_run: dict, workdir: Path):
    named = trained(workdir)
    (photo, _) = photos_of_run(workdir, at_most=2)
    model = nnx.merge(named.graph, named.params).backbone
    (layers,) = model.intermediates(named.normalization(jnp.asarray(photo.pixels[None])))
    packed = page_of_run["images"][0]["heads"]
    found = expand(
        CompandedMaps(codes=unpack(packed["codes"]), peaks=unpack(packed["peaks"]), is_signed=packed["signed"])
    )
    expected = np.asarray(layers.attention_weights[:, 0]).reshape(2, 2, 8, 2, 4)
    np.testing.assert_allclose(found, expected, atol=expected.max() * (1 / 255 + 1 / 510**2))


def test_folder_of_images_is_shown_by_name(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert program.main(["report", f"--workdir={workdir}", f"--images={tmp_path}", f"--out={tmp_path}/x.html"]) == 3
    assert "no images under" in capsys.readouterr().err


def test_unknown_choice_of_layers_is_refused(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert program.main(["report", f"--workdir={workdir}", f"--out={tmp_path}/x.html", "--layers=first"]) == 2
    assert "--layers must be all or last, got 'first'" in capsys.readouterr().err


def test_windowed_model_shows_the_attention_of_its_last_map_and_says_so():
    named = named_of(SWIN)
    assert attention_start(SWIN) == 1
    report = make_report(named, plan(2), num_shown=1)
    assert [(layer.shows_patches, layer.attention) for layer in report.layers] == [
        (False, None),
        (True, 0),
        (True, 1),
    ]
    assert [layer.grid for layer in report.layers] == [(2, 4)] * 3
    page = document(render(report))
    assert page["grid"] == [2, 4]
    assert page["images"][0]["heads"]["codes"]["shape"] == [2, 2, 8, 2, 4]
    assert any("layers 1 to 1, in windows of finer maps, is not shown" in note for note in page["notes"])
    assert [field is None for field in page["fields"]] == [True, False, False]
    assert any("layers 1 to 1 have patches of their own" in note for note in page["notes"])


def test_attention_in_windows_of_the_last_map_is_not_shown():
    config = dataclasses.replace(SWIN, window=(2, 2))
    assert attention_start(config) == 3
    assert [layer.attention for layer in layers_of(named_of(config))] == [None] * 3


def test_model_without_position_bias_has_no_tables():
    config = dataclasses.replace(MODEL, gaussian=None)
    assert [(layer.table, layer.attention) for layer in layers_of(named_of(config))] == [(None, 0), (None, 1)]


def test_learned_values_are_those_of_the_parameters():
    layers = layers_of(named_of(MODEL))
    assert [(layer.amplitude.tolist(), layer.sigma_y.tolist()) for layer in layers] == [([2.0], [1.0])] * 2
    assert layers[0].table.shape == (1, 3, 7)
