"""XCiT: maps at any depth, running statistics, precision, what it refuses, and a run that resumes."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from gauss_vit import main as program
from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BackboneConfig, BlockMaps
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from gauss_vit.models.xcit import XCiTConfig
from gauss_vit.position.fourier import FourierEmbedding
from gauss_vit.tree import flatten_paths, path_of
from tests.models.built import build
from tests.tiny_config import ONE_DEVICE

KEY = jax.random.key(0)
# A map of 2 x 3 patches.
CONFIG = XCiTConfig(
    image_size=(8, 12),
    patch_size=(4, 4),
    width=8,
    depth=2,
    num_heads=2,
    layer_scale=1.0,
    embedding=FourierEmbedding(channels=4),
)


def images_for(config, batch=2):
    return jax.random.normal(jax.random.key(7), (batch, *config.image_size, 3), jnp.float32)


@functools.cache
def params_of(config):
    """Parameters as after some training: nothing is zero, so that every path carries a signal and a gradient."""
    random = np.random.default_rng(0)

    def draw(key_path, leaf):
        noise = random.normal(size=leaf.shape)
        name = path_of(key_path).rsplit(".", 1)[-1]
        around_one = ("scale", "variance", "temperature", "layer_scale1", "layer_scale2", "layer_scale_local")
        return jnp.asarray(np.float32(1 + 0.2 * noise if name in around_one else 0.3 * noise))

    return jax.tree_util.tree_map_with_path(draw, abstract(config)[1])


def lively(config):
    """A model with these parameters, whose names no value of a config changes."""
    return nnx.merge(abstract(config)[0], params_of(CONFIG))


@jax.jit
def features_of(model, images, key=None):
    """The features, and the running statistics after them."""
    return model.features(images, key=key), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))


@functools.cache
def gradient_of(config):
    graph, state = nnx.split(lively(config))

    def loss(leaves):
        return jnp.sum(jnp.square(nnx.merge(graph, leaves).features(images_for(config), key=KEY).pooled))

    gradient = flatten_paths(jax.jit(jax.grad(loss))(nnx.to_pure_dict(state)))
    return {
        path: leaf for path, leaf in gradient.items() if not path.endswith(("batch_norm.mean", "batch_norm.variance"))
    }


def test_the_protocols_are_those_of_a_backbone():
    assert isinstance(CONFIG, BackboneConfig)
    assert isinstance(lively(CONFIG), Backbone) and isinstance(lively(CONFIG), BlockMaps)


@pytest.mark.parametrize("batch", [1, 2])
def test_features_are_maps_of_normalised_patches_and_the_class_token(batch):
    model = lively(CONFIG)
    features, _ = features_of(model, images_for(CONFIG, batch))
    assert features.last.shape == features.pre_norm.shape == (batch, 2, 3, 8)
    np.testing.assert_array_equal(features.prefix[:, 0], features.pooled)
    normal = (np.asarray(features.last) - np.asarray(model.norm.bias[...])) / np.asarray(model.norm.scale[...])
    np.testing.assert_allclose(normal.mean(axis=-1), 0, atol=1e-5)


def test_maps_are_those_behind_every_block():
    model, images = lively(CONFIG), images_for(CONFIG)
    both = jax.jit(lambda images: model.maps(images, (2, 1)))(images)
    of_block = jax.jit(model.block_map)
    for layer, found in zip((2, 1), both, strict=True):
        np.testing.assert_allclose(of_block(images, jnp.int32(layer)), found, atol=1e-5)
    np.testing.assert_allclose(both[0], features_of(model, images)[0].pre_norm, atol=1e-5)
    assert not np.allclose(*both)
    with pytest.raises(ConfigError, match="no layer 3"):
        model.maps(images, (3,))


def test_there_is_no_attention_between_patches_to_look_at():
    model, images = lively(CONFIG), images_for(CONFIG)
    assert model.attention_inputs(images) == model.intermediates(images) == ()
    assert CONFIG.stages()[0].attention is None and not CONFIG.has_position_bias


def test_training_moves_running_statistics_of_every_block_and_inference_does_not():
    model, images = lively(CONFIG), images_for(CONFIG)
    before = flatten_paths(nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))
    kept = flatten_paths(features_of(model, images)[1])
    moved = flatten_paths(features_of(model, images, KEY)[1])
    assert set(before) == {
        f"{path}.batch_norm.{name}"
        for path in ("stem.layers.0", "stem.layers.1", "blocks.local")
        for name in ("mean", "variance")
    }
    for path, leaf in before.items():
        np.testing.assert_array_equal(kept[path], leaf)
        rows = np.atleast_2d(np.asarray(moved[path] - leaf))
        assert np.all(np.abs(rows).max(axis=-1) > 0), path


def test_statistics_of_a_block_are_those_of_its_own_input():
    model, images = lively(CONFIG), images_for(CONFIG)
    _, statistics = features_of(model, images, KEY)
    graph, stacked = nnx.split(model.blocks)
    stream = model.embed(images, key=KEY)
    for index in range(2):
        block = nnx.merge(graph, jax.tree.map(lambda leaf, index=index: leaf[index], stacked))
        stream = block(stream, drop_rate=jnp.float32(0), key=KEY)
        found = block.statistics()
        np.testing.assert_allclose(statistics["blocks"]["local"]["batch_norm"]["mean"][index], found.mean, atol=1e-5)


def test_gradients_reach_every_parameter():
    for path, leaf in gradient_of(CONFIG).items():
        assert np.all(np.isfinite(leaf)), path
        # The key of a softmax and the bias before a normalisation by the batch shift all logits or values alike.
        assert np.any(leaf != 0), path


@pytest.mark.parametrize("compute", [Compute(remat="full"), Compute(unroll=2)], ids=["remat", "unrolled"])
def test_ways_to_compute_give_the_same_gradients(compute):
    found = gradient_of(dataclasses.replace(CONFIG, compute=compute))
    for path, leaf in gradient_of(CONFIG).items():
        # The order of float32 sums differs.
        np.testing.assert_allclose(found[path], leaf, atol=1e-4 * max(np.abs(leaf).max(), 1), err_msg=path)


def test_bfloat16_activations_stay_near_float32():
    images = images_for(CONFIG)
    rounded, _ = features_of(lively(dataclasses.replace(CONFIG, compute=Compute(dtype="bfloat16"))), images)
    exact, _ = features_of(lively(CONFIG), images)
    assert rounded.last.dtype == jnp.bfloat16
    # bfloat16 keeps 8 bits: 0.4 % a rounding, a few of which add up.
    assert np.linalg.norm(rounded.last.astype(jnp.float32) - exact.last) < 0.05 * np.linalg.norm(exact.last)


@pytest.mark.parametrize("rate", ["position_dropout", "projection_dropout", "attention_dropout", "stochastic_depth"])
def test_every_rate_changes_training_alone(rate):
    noisy, images = lively(dataclasses.replace(CONFIG, **{rate: 0.5})), images_for(CONFIG)
    np.testing.assert_array_equal(features_of(noisy, images)[0].last, features_of(lively(CONFIG), images)[0].last)
    assert not np.allclose(features_of(noisy, images, KEY)[0].last, features_of(lively(CONFIG), images, KEY)[0].last)


def test_images_of_a_batch_do_not_meet_in_inference():
    images = images_for(CONFIG)
    both, _ = features_of(lively(CONFIG), images)
    alone, _ = features_of(lively(CONFIG), images.at[0].set(0))
    np.testing.assert_allclose(both.last[1], alone.last[1], atol=1e-6)


def test_the_stem_halves_the_sides_and_doubles_the_width():
    assert CONFIG.stem_widths == (4, 8)
    assert dataclasses.replace(CONFIG, patch_size=(8, 8), image_size=(16, 8), width=16).stem_widths == (4, 8, 16)


def test_no_parameter_depends_on_the_image_size():
    larger = dataclasses.replace(CONFIG, image_size=(16, 8))
    assert abstract(larger)[1] == abstract(CONFIG)[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": (9, 12)}, "height 9 is not divisible by patch height 4"),
        ({"patch_size": (4, 8)}, "must be equal powers of 2"),
        ({"patch_size": (3, 3)}, "must be equal powers of 2"),
        ({"width": 9, "num_heads": 1}, "width 9 must be divisible by half the patch size, 2"),
        ({"num_heads": 3}, "width 8 is not divisible by num_heads 3"),
        ({"class_blocks": 0}, "class_blocks must be at least 1"),
        ({"attention_dropout": 1.0}, "attention_dropout must be in"),
    ],
)
def test_values_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(CONFIG, **change)


def test_images_of_another_size_are_refused():
    with pytest.raises(ConfigError, match=r"takes images of \(8, 12\), got \(8, 8\)"):
        lively(CONFIG).features(jnp.ones((1, 8, 8, 3), jnp.float32))


FILE = """
import dataclasses
from tests import tiny_config
from tests.models.test_xcit import CONFIG

def get_config():
    tiny = tiny_config.get_config()
    return dataclasses.replace(tiny, model=dataclasses.replace(CONFIG, image_size=(16, 32), patch_size=(8, 8)))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that was then resumed for two more."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "xcit.py").write_text(FILE)
    command = [f"--config={folder / 'xcit.py'}", ONE_DEVICE, f"--workdir={folder / 'run'}"]
    assert program.main(command) == 0
    assert program.main([*command, "--config.training.num_steps=6"]) == 0
    return folder / "run"


def test_it_trains_and_resumes(run: Path):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "eval"] == [4, 6]
    assert "resumed from step 4 (verified)" in (run / "train.log").read_text()
    assert json.loads((run / "config.json").read_text())["model"]["type"] == "XCiTConfig"


def test_a_trained_one_is_evaluated_and_has_fields_of_every_layer(run: Path, tmp_path: Path, capsys):
    assert program.main(["evaluate", f"--workdir={run}"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["num_examples"] == 50
    photo = tmp_path / "photos" / "noise.png"
    photo.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(photo)
    words = ["erf", f"--workdir={run}", f"--images={photo.parent}", f"--out={tmp_path}", "--protocol=pre_norm"]
    for layer in ("1", "last"):
        assert program.main([*words, f"--layer={layer}"]) == 0
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_a_position_bias_is_refused_in_one_line(run: Path, tmp_path: Path, capsys):
    assert program.main(["position", f"--workdir={run}", f"--out={tmp_path}"]) != 0
    assert "the model has no attention between patches" in capsys.readouterr().err
    assert program.main(["position", "--model=xcit_tiny_12_p16_224", "--gaussian", f"--out={tmp_path}"]) != 0
    message = capsys.readouterr().err
    assert "a position bias does not apply to XCiT" in message and "mixes channels" in message


def test_fresh_parameters_are_float32_and_not_weakly_typed():
    for path, leaf in flatten_paths(nnx.to_pure_dict(nnx.state(build(CONFIG, KEY)))).items():
        assert leaf.dtype == jnp.float32, path
        assert not leaf.weak_type, path
