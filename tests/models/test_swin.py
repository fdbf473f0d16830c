"""Swin transformers: sizes, windows on every stage, precision, determinism, and the Gaussian in every block."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets.swin import PRESETS_SWIN, SWIN_TINY, for_dense_tasks
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position import Gaussian, RelativeMlp, RelativeTable
from gauss_vit.position.position import Position, with_terms
from gauss_vit.tree import flatten_paths, path_of
from tests.models.built import build

KEY = jax.random.key(0)
# Maps of 6 x 10 and 3 x 5: the first is padded and shifted along both axes, the second cuts the window.
V1 = SwinConfig(
    image_size=(12, 20),
    patch_size=(2, 2),
    width=8,
    depths=(2, 3),
    num_heads=(1, 2),
    window=(4, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(terms=(RelativeTable(),)),
)
V2 = dataclasses.replace(
    V1,
    biases="query_value",
    similarity="cosine",
    norm="after",
    position=Position(terms=(RelativeMlp(hidden=8, mode="swin", dropout=0.0),)),
)
CR = dataclasses.replace(
    V1,
    similarity="cosine",
    norm="mixed",
    stage_norms=True,
    start="fan_in_uniform",
    position=Position(terms=(RelativeMlp(hidden=8),)),
)
CONFIGS = {"v1": V1, "v2": V2, "cr": CR}


def with_gaussian(config, **values):
    return with_terms(config, Gaussian(**values))


GAUSSIANS = {
    "v1, shared": with_gaussian(V1),
    "v1, anisotropic": with_gaussian(V1, anisotropic=True, unit="image"),
    "v2, per head": with_gaussian(V2, per_head=True),
}


def images_for(config, batch=2):
    return jax.random.normal(jax.random.key(7), (batch, *config.image_size, 3), jnp.float32)


@functools.cache
def fresh(config):
    """A model as it starts; compiling its random draws takes seconds."""
    return build(config, KEY)


@functools.cache
def lively(config):
    """A model as after some training: nothing is zero, so that every path carries a signal and a gradient."""
    graph, shapes = abstract(config)
    random = np.random.default_rng(0)

    def draw(key_path, leaf):
        path = path_of(key_path)
        noise = random.normal(size=leaf.shape)
        values = {"scale": 1 + 0.2 * noise, "amplitude": 2 + 0.2 * noise, "sigma": 0.5 + abs(noise)}
        return jnp.asarray(np.float32(values.get(path.rsplit(".", 1)[1], 0.2 * noise)))

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(draw, shapes))


def variant(config):
    """The lively model of V1 under a config of the same parameters."""
    return nnx.merge(abstract(config)[0], params_of(lively(V1)))


def params_of(model):
    return nnx.to_pure_dict(nnx.state(model))


@jax.jit
def pooled(model, images, key=None):
    return model.features(images, key=key).pooled.astype(jnp.float32)


@functools.cache
def gradient_of(model, seed=None):
    """The gradient of a loss with respect to the parameters, by path."""
    graph, params = nnx.split(model)
    key = None if seed is None else jax.random.key(seed)

    def loss(params):
        return jnp.sum(jnp.square(nnx.merge(graph, params).features(images_for(model.config), key=key).pooled))

    return flatten_paths(nnx.to_pure_dict(jax.jit(jax.grad(loss))(params)))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_gaussian_adds_two_parameters_a_block(config):
    _, plain = abstract(config)
    _, with_term = abstract(with_gaussian(config))
    added = set(flatten_paths(with_term)) - set(flatten_paths(plain))
    assert added == {
        f"stages.{stage}.blocks.attention.bias.gaussian.{name}" for stage in range(2) for name in ("amplitude", "sigma")
    }
    assert sum(flatten_paths(with_term)[path].size for path in added) == 2 * config.depth


def test_windows_are_cut_to_the_map_and_not_shifted_where_one_covers_it():
    stages = [V1.stage(index) for index in range(2)]
    assert [V1.grid_of_stage(index) for index in range(2)] == [(6, 10), (3, 5)]
    assert V1.grid == (3, 5)
    assert [stage.block.attention.grid for stage in stages] == [(4, 4), (3, 4)]
    assert [stage.stage.shift for stage in stages] == [(2, 2), (0, 2)]
    last = PRESETS_SWIN["swinv2_small_window16_256"].stage(3)
    assert (last.block.attention.grid, last.stage.shift) == ((8, 8), (0, 0))


def test_stochastic_depth_grows_linearly_over_all_blocks():
    config = dataclasses.replace(V1, stochastic_depth=0.4)
    rates = np.concatenate([config.rates(index) for index in range(2)])
    np.testing.assert_allclose(rates, np.arange(5) / 10, rtol=1e-6)


@pytest.mark.parametrize(("config", "batch"), [(V1, 3), (V2, 1), (CR, 1)], ids=CONFIGS)
def test_features_are_maps_over_the_last_grid(config, batch):
    model, images = lively(config), images_for(config, batch)
    features = jax.jit(model.features)(images)
    assert features.last.shape == features.pre_norm.shape == (batch, 3, 5, 16)
    assert features.prefix.shape == (batch, 0, 16)
    np.testing.assert_allclose(features.pooled, jnp.mean(features.last, axis=(1, 2)), atol=1e-6)
    normal = (features.last - model.norm.bias[...][None, None, None]) / model.norm.scale[...][None, None, None]
    np.testing.assert_allclose(jnp.mean(normal, axis=-1), 0, atol=1e-5)
    assert float(jnp.abs(jnp.mean(features.pre_norm, axis=-1)).max()) > 1e-3


def test_parameters_are_float32_and_not_weakly_typed():
    for path, leaf in flatten_paths(params_of(fresh(V2))).items():
        assert leaf.dtype == jnp.float32, path
        assert not leaf.weak_type, path


@pytest.mark.parametrize("norm", ["before", "after", "mixed"])
def test_norms_are_before_or_after_branches_and_patch_merging(norm):
    stage = dataclasses.replace(V1, norm=norm).stage(1)
    assert stage.block.norm == ("before" if norm == "before" else "after")
    assert stage.merging_norm == ("after" if norm == "after" else "before")


def test_stage_norms_are_between_stages_and_after_what_maps_read():
    plain = dataclasses.replace(CR, stage_norms=False)
    added = set(flatten_paths(abstract(CR)[1])) - set(flatten_paths(abstract(plain)[1]))
    assert added == {"stages.1.entry_norm.scale", "stages.1.entry_norm.bias"}
    model, images = lively(CR), images_for(CR)
    without = nnx.merge(abstract(plain)[0], _without(params_of(model), "entry_norm"))
    first, other = (jax.jit(lambda images, each=each: each.maps(images, (2, 5)))(images) for each in (model, without))
    np.testing.assert_array_equal(first[0], other[0])
    assert not np.allclose(first[1], other[1])
    for layer, stage in ((2, 0), (3, 1)):
        found = jax.jit(lambda images, stage=stage: model.block_map(images, jnp.int32(2 - stage), stage=stage))(images)
        (expected,) = jax.jit(lambda images, layer=layer: model.maps(images, (layer,)))(images)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def _without(params, name):
    stages = {
        index: {key: value for key, value in stage.items() if key != name} for index, stage in params["stages"].items()
    }
    return {**params, "stages": stages}


def test_dense_layers_start_as_the_config_says():
    kernel = fresh(CR).stages["0"].blocks.mlp.fc1.kernel[...]
    assert float(jnp.abs(kernel).max()) <= 8**-0.5
    assert float(jnp.std(kernel)) > 0.1 > 5 * float(jnp.std(fresh(V1).stages["0"].blocks.mlp.fc1.kernel[...])) / 2


def test_blocks_of_version_2_start_as_the_identity():
    stages = jax.jit(fresh(V2).intermediates)(images_for(V2))
    for stage in stages:
        np.testing.assert_array_equal(stage.tokens[0], stage.tokens[-1])


@pytest.mark.parametrize(
    "name", ["v1, shared", "v2, per head", pytest.param("v1, anisotropic", marks=pytest.mark.full)]
)
def test_gradients_flow_to_every_gaussian_in_every_block(name):
    gradients = gradient_of(lively(GAUSSIANS[name]))
    of_gaussian = {path: leaf for path, leaf in gradients.items() if "gaussian" in path}
    assert len(of_gaussian) == 4
    for path, leaf in of_gaussian.items():
        assert np.all(np.isfinite(leaf)), path
        assert np.all(np.abs(leaf) > 0), path


@pytest.mark.parametrize("index", [0, 1])
def test_units_of_the_image_are_those_of_the_whole_map(index):
    fraction = with_gaussian(V1, sigma=0.5, unit="image").stage(index).block.attention
    height, width = V1.grid_of_stage(index)
    params = {"amplitude": jnp.full((1,), 2, jnp.float32), "sigma": jnp.full((1,), 0.5, jnp.float32)}
    table = fraction.terms[1].table(params, fraction.grid)[0]
    center = fraction.grid[0] - 1, fraction.grid[1] - 1
    np.testing.assert_allclose(table[center[0] + 1, center[1]], 4 * np.exp(-0.5 * (2 / height) ** 2), rtol=1e-6)
    np.testing.assert_allclose(table[center[0], center[1] + 2], 4 * np.exp(-0.5 * (4 / width) ** 2), rtol=1e-6)


@pytest.mark.parametrize("remat", ["full", pytest.param("dots", marks=pytest.mark.full)])
def test_ways_to_compute_give_the_same_gradients(remat):
    found = gradient_of(variant(dataclasses.replace(V1, compute=Compute(remat=remat))), seed=3)
    for path, leaf in gradient_of(lively(V1), seed=3).items():
        # The order of float32 sums differs.
        np.testing.assert_allclose(found[path], leaf, atol=1e-4 * np.abs(leaf).max(), err_msg=path)


def test_bfloat16_activations_stay_near_float32():
    images, rounded = images_for(V1), variant(dataclasses.replace(V1, compute=Compute(dtype="bfloat16")))
    assert jax.eval_shape(rounded.features, images).last.dtype == jnp.bfloat16
    exact = pooled(lively(V1), images)
    # bfloat16 keeps 8 bits: 0.4 % a rounding, a few of which add up over five blocks.
    assert np.linalg.norm(pooled(rounded, images) - exact) < 0.03 * np.linalg.norm(exact)


def test_images_of_a_batch_do_not_meet():
    model, images = lively(V1), images_for(V1)
    alone = pooled(model, images.at[0].set(0))
    np.testing.assert_allclose(pooled(model, images)[1], alone[1], atol=1e-6)


def test_no_key_means_no_noise():
    noisy = variant(dataclasses.replace(V1, stochastic_depth=0.5, projection_dropout=0.2))
    images = images_for(V1)
    np.testing.assert_array_equal(pooled(noisy, images), pooled(lively(V1), images))
    assert not np.allclose(pooled(noisy, images, jax.random.key(1)), pooled(noisy, images))


@pytest.mark.parametrize("rate", ["projection_dropout", "attention_dropout", "stochastic_depth"])
def test_every_rate_changes_training(rate):
    noisy, images = variant(dataclasses.replace(V1, **{rate: 0.5})), images_for(V1)
    assert not np.allclose(pooled(noisy, images, jax.random.key(5)), pooled(lively(V1), images))


def test_images_of_another_size_are_refused_unless_wanted():
    images = jnp.ones((1, 16, 18, 3), jnp.float32)
    with pytest.raises(ConfigError, match=r"takes images of \(12, 20\), got \(16, 18\)"):
        lively(V1).features(images)
    model = variant(dataclasses.replace(V1, takes_any_size=True))
    assert jax.jit(model.features)(images).last.shape == (1, 4, 5, 16)
    np.testing.assert_array_equal(pooled(model, images_for(V1)), pooled(lively(V1), images_for(V1)))
    with pytest.raises(ConfigError, match="height 15 is not divisible by patch height 2"):
        model.features(jnp.ones((1, 15, 18, 3), jnp.float32))


def test_fixed_windows_are_the_same_on_maps_that_are_smaller():
    stages = for_dense_tasks(V1).stages()
    assert [stage.window for stage in stages] == [(4, 4), (4, 4)]
    assert [stage.shift for stage in stages] == [(2, 2), (2, 2)]
    assert all(stage.pads_first for stage in stages)


def test_with_fixed_windows_an_image_is_padded_with_zeros_to_whole_patches():
    model, images = lively(for_dense_tasks(V1, image_size=(12, 20))), images_for(V1)[:, :7, :15]
    padded = jnp.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))
    first, last = jax.jit(lambda images: model.maps(images, (2, 5)))(images)
    assert (first.shape, last.shape) == ((2, 4, 8, 8), (2, 2, 4, 16))
    for one, other in zip((first, last), jax.jit(lambda images: model.maps(images, (2, 5)))(padded), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_a_config_for_dense_tasks_has_the_same_parameters_at_any_image_size():
    assert abstract(for_dense_tasks(SWIN_TINY, image_size=(75, 53)))[1] == abstract(SWIN_TINY)[1]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_intermediates_are_those_of_every_block(config):
    model, images = lively(config), images_for(config)
    stages = jax.jit(model.intermediates)(images)
    assert [stage.tokens.shape for stage in stages] == [(2, 2, 60, 8), (3, 2, 15, 16)]
    assert [stage.attention_weights.shape[1] for stage in stages] == [2 * 6, 2 * 2]
    for stage in stages:
        np.testing.assert_allclose(jnp.sum(stage.attention_weights, axis=-1), 1, atol=1e-5)
        assert stage.attention_weights.dtype == stage.logits_bias.dtype == jnp.float32
    last = jax.jit(model.features)(images).pre_norm.reshape(2, 15, 16)
    np.testing.assert_allclose(stages[-1].tokens[-1], last, atol=1e-5)


def test_intermediates_are_in_the_order_of_the_blocks():
    config = with_gaussian(V1)
    params = params_of(lively(config))
    bias = params["stages"]["1"]["blocks"]["attention"]["bias"]
    bias["relative"]["table"] = jnp.zeros_like(bias["relative"]["table"])
    bias["gaussian"]["amplitude"] = jnp.asarray([[1], [2], [3]], jnp.float32)
    stage = jax.jit(nnx.merge(abstract(config)[0], params).intermediates)(images_for(config))[1]
    np.testing.assert_allclose(stage.logits_bias[:, 0, 0, 0], [1, 4, 9], rtol=1e-6)
    # Only the second block is shifted: its last window has tokens from both sides, which do not meet.
    is_apart = jnp.any(stage.attention_weights == 0, axis=(1, 2, 3, 4))
    np.testing.assert_array_equal(is_apart, [False, True, False])


def test_attention_inputs_name_every_block_once():
    groups = jax.jit(lively(V1).attention_inputs)(images_for(V1))
    assert [list(group.layers) for group in groups] == [[0], [1], [2, 4], [3]]
    assert [group.mask is None for group in groups] == [True, False] * 2
    assert groups[2].tokens.shape == (2, 2 * 2, 12, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": (13, 20)}, "height 13 is not divisible by patch height 2"),
        ({"num_heads": (1, 3)}, "width 16 is not divisible by num_heads 3"),
        ({"depths": (2, 3, 1)}, "must be of the same stages"),
        ({"depths": (2, 0)}, "depths must be at least 1 each"),
        ({"window": (0, 4)}, "window must be at least 1 each"),
        ({"stochastic_depth": 1.0}, "stochastic_depth must be in"),
    ],
)
def test_values_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(V1, **change)
