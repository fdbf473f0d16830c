"""The vision transformer: shapes, precision, determinism, and the equivalence of its ways to run."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position import AbsoluteEmbedding, Gaussian, RelativeMlp, RelativeTable
from gauss_vit.position.position import Position, without_terms
from gauss_vit.tree import flatten_paths
from tests.models.built import build
from tests.networks import classifier, network_params

KEY = jax.random.key(0)
RELATIVE = ViTConfig(
    image_size=(8, 12),
    patch_size=(4, 4),
    width=16,
    depth=3,
    num_heads=2,
    class_token=False,
    pool="mean",
    norm="after_pool",
    biases="none",
    layer_scale=0.5,
    start="fan_in_uniform",
    position=Position(
        terms=(
            RelativeMlp(hidden=8),
            Gaussian(),
        )
    ),
)
PLAIN = dataclasses.replace(
    RELATIVE,
    class_token=True,
    pool="token",
    norm="before_pool",
    biases="all",
    layer_scale=None,
    start="truncated_normal",
    position=Position(absolute=AbsoluteEmbedding()),
)


def images_for(config, batch=2):
    return jax.random.normal(jax.random.key(7), (batch, *config.image_size, 3), jnp.float32)


@jax.jit
def features_of(model, images, key=None):
    return model.features(images, key=key)


def pooled(model, images, key=None):
    return features_of(model, images, key).pooled.astype(jnp.float32)


def variant(config, **changes):
    """The model of a config under another one of the same parameters."""
    graph, _ = abstract(dataclasses.replace(config, **changes))
    return nnx.merge(graph, nnx.to_pure_dict(nnx.state(build(config, KEY))))


def test_the_gaussian_adds_two_parameters_a_block():
    _, plain = abstract(without_terms(RELATIVE, Gaussian))
    _, with_gaussian = abstract(RELATIVE)
    added = set(flatten_paths(with_gaussian)) - set(flatten_paths(plain))
    assert added == {"blocks.attention.bias.gaussian.amplitude", "blocks.attention.bias.gaussian.sigma"}
    assert flatten_paths(with_gaussian)["blocks.attention.bias.gaussian.sigma"].shape == (3, 1)


@pytest.mark.parametrize("config", [RELATIVE, PLAIN], ids=["relative", "plain"])
@pytest.mark.parametrize("batch", [1, 3])
def test_features_are_maps_over_the_grid(config, batch):
    features = features_of(build(config, KEY), images_for(config, batch))
    assert features.last.shape == (batch, 2, 3, 16)
    assert features.pre_norm.shape == (batch, 2, 3, 16)
    assert features.prefix.shape == (batch, int(config.class_token), 16)
    assert features.pooled.shape == (batch, 16)


def test_final_normalisation_stands_where_the_config_says():
    relative = features_of(build(RELATIVE, KEY), images_for(RELATIVE))
    np.testing.assert_array_equal(relative.last, relative.pre_norm)
    plain = features_of(build(PLAIN, KEY), images_for(PLAIN))
    np.testing.assert_allclose(jnp.mean(plain.last, axis=-1), 0, atol=1e-5)
    assert float(jnp.abs(jnp.mean(plain.pre_norm, axis=-1)).max()) > 1e-3


def test_parameters_are_float32_and_not_weakly_typed():
    model = build(RELATIVE, KEY)
    for path, leaf in flatten_paths(nnx.to_pure_dict(nnx.state(model))).items():
        assert leaf.dtype == jnp.float32, path
        assert not leaf.weak_type, path


def test_blocks_start_differently():
    kernel = flatten_paths(nnx.to_pure_dict(nnx.state(build(PLAIN, KEY))))["blocks.mlp.fc1.kernel"]
    assert not np.allclose(kernel[0], kernel[1])
    assert float(jnp.std(kernel)) == pytest.approx(0.02, rel=0.1)


WAYS = [
    Compute(unroll=3),
    Compute(remat="full"),
    Compute(remat="dots"),
    Compute(kernel="reference"),
    Compute(kernel="rows"),
]


@functools.cache
def gradients_of(compute):
    graph, _ = abstract(classifier(dataclasses.replace(RELATIVE, compute=compute)))
    images, key = images_for(RELATIVE), jax.random.key(3)

    def loss(params):
        return jnp.sum(jnp.square(nnx.merge(graph, params)(images, key=key)))

    return jax.jit(jax.grad(loss))(network_params(RELATIVE))


@pytest.mark.parametrize("compute", WAYS, ids=str)
def test_ways_to_compute_give_the_same_gradients(compute):
    chex.assert_trees_all_close(gradients_of(RELATIVE.compute), gradients_of(compute), atol=1e-5, rtol=1e-7)


def test_bfloat16_activations_stay_near_float32():
    images = images_for(RELATIVE)
    exact, rounded = build(RELATIVE, KEY), variant(RELATIVE, compute=Compute(dtype="bfloat16"))
    assert jax.eval_shape(rounded.features, images).last.dtype == jnp.bfloat16
    # bfloat16 keeps 8 bits: 0.4 % a rounding, a few of which add up over three blocks.
    np.testing.assert_allclose(pooled(rounded, images), pooled(exact, images), atol=0.05)


def test_no_key_means_no_noise():
    model = variant(RELATIVE, stochastic_depth=0.5, projection_dropout=0.2, attention_dropout=0.2)
    images = images_for(RELATIVE)
    np.testing.assert_array_equal(pooled(model, images), pooled(model, images))
    np.testing.assert_array_equal(pooled(model, images), pooled(build(RELATIVE, KEY), images))
    assert not np.allclose(pooled(model, images, key=jax.random.key(1)), pooled(model, images))


@pytest.mark.parametrize("rate", ["position_dropout", "projection_dropout", "attention_dropout", "stochastic_depth"])
def test_every_rate_changes_training(rate):
    quiet = dataclasses.replace(
        RELATIVE,
        position=Position(
            terms=(
                RelativeTable(),
                Gaussian(),
            )
        ),
    )
    model = variant(quiet, **{rate: 0.5})
    images, key = images_for(quiet), jax.random.key(5)
    assert not np.allclose(pooled(model, images, key=key), pooled(build(quiet, KEY), images, key=key))


def test_embeddings_without_prefix_leave_the_class_token_alone():
    config = dataclasses.replace(PLAIN, position=Position(absolute=AbsoluteEmbedding(embeds_prefix=False)))
    model = build(config, KEY)
    tokens = model.embed(images_for(config))
    np.testing.assert_allclose(tokens[:, 0], jnp.broadcast_to(model.class_token[...][0], (2, 16)), rtol=1e-6)
    assert tokens.shape == (2, 7, 16)


def test_registers_stand_between_the_class_token_and_the_patches():
    config = VARIANTS["registers"]
    model, images = build(config, KEY), images_for(config)
    tokens, learned = model.embed(images), [model.class_token[...][0], model.register_tokens[...][0]]
    assert config.prefix_tokens == 5 and learned[1].shape == (4, 16)
    np.testing.assert_array_equal(tokens[:, :5], jnp.broadcast_to(jnp.concatenate(learned), (2, 5, 16)))
    features = features_of(model, images)
    assert features.prefix.shape == (2, 5, 16) and features.last.shape == (2, 2, 3, 16)
    np.testing.assert_array_equal(features.pooled, features.prefix[:, 0])


def test_a_norm_of_the_input_takes_the_place_of_the_bias_of_patches():
    config = VARIANTS["attention pooling"]
    model, images = build(config, KEY), images_for(config)
    assert model.patch_embed.bias is None
    np.testing.assert_allclose(jnp.mean(model.embed(images), axis=-1), 0, atol=1e-6)


def test_layer_scale_of_a_norm_after_the_branch_is_its_initial_scale():
    model = build(VARIANTS["normalised after"], KEY)
    assert model.blocks.layer_scale1 is None
    np.testing.assert_array_equal(model.blocks.norm2.scale[...], jnp.full((3, 16), 0.5))


def test_blocks_can_be_collected_on_the_way():
    model, images = build(RELATIVE, KEY), images_for(RELATIVE)
    tokens = model.embed(images)
    last, entering = jax.jit(functools.partial(model.scan_blocks, collect=True))(tokens)
    assert entering.shape == (3, 2, 6, 16)
    np.testing.assert_array_equal(entering[0], tokens)
    np.testing.assert_allclose(last.reshape(2, 2, 3, 16), features_of(model, images).pre_norm, atol=1e-6)


def test_attention_inputs_reproduce_the_weights_of_every_block():
    config = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),), shared=(RelativeMlp(hidden=8),)))
    model, images = build(config, KEY), images_for(config)
    (inputs,), (between,) = jax.jit(model.attention_inputs)(images), jax.jit(model.intermediates)(images)
    np.testing.assert_array_equal(inputs.layers, [0, 1, 2])
    weights = inputs.map(lambda layer, tokens, mask, shared: layer.weights(tokens, shared=shared, mask=mask))
    np.testing.assert_allclose(weights, between.attention_weights, atol=1e-6)


def test_images_of_another_size_are_refused():
    with pytest.raises(ConfigError, match=r"takes images of \(8, 12\), got \(8, 8\) DO: .*mode=slide"):
        build(RELATIVE, KEY).features(jnp.zeros((1, 8, 8, 3), jnp.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": (225, 224), "patch_size": (16, 16)}, "height 225 is not divisible by patch height 16"),
        ({"num_heads": 3}, "width 16 is not divisible by num_heads 3"),
        ({"pool": "token"}, "needs a class token"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"stochastic_depth": 1.0}, "stochastic_depth must be in"),
        (
            {"class_token": True, "position": Position(shared=(RelativeTable(has_prefix=True),))},
            "a table that all blocks share has no logits for prefix tokens DO: move it to position.terms",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(RELATIVE, **change)


VARIANTS = {
    "class token after the patches": dataclasses.replace(
        PLAIN,
        mixes_heads=True,
        class_blocks=2,
        layer_scale=0.5,
        position=Position(absolute=AbsoluteEmbedding(embeds_prefix=False)),
    ),
    "three biases of a class token": dataclasses.replace(
        PLAIN,
        biases="query_value",
        position=Position(
            terms=(
                RelativeTable(has_prefix=True),
                Gaussian(),
            )
        ),
    ),
    "one bias for all blocks": dataclasses.replace(
        RELATIVE, norm="before_pool", position=Position(terms=(Gaussian(),), shared=(RelativeMlp(hidden=8),))
    ),
    "registers": dataclasses.replace(
        PLAIN,
        register_tokens=4,
        mlp="swiglu",
        mlp_norm=True,
        layer_scale=0.5,
        position=Position(terms=(Gaussian(),), absolute=AbsoluteEmbedding(embeds_prefix=False)),
    ),
    "attention pooling": dataclasses.replace(
        PLAIN, input_norm=True, class_token=False, pool="attention", mlp="gelu_tanh", start="xavier_uniform"
    ),
    "normalised after": dataclasses.replace(RELATIVE, block_norm="after", norm="before_pool", mlp="quick_gelu"),
    "plain": PLAIN,
    "relative": RELATIVE,
}


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_intermediates_are_those_of_the_forward_pass(config):
    model, images = build(config, KEY), images_for(config)
    (inside,) = jax.jit(model.intermediates)(images)
    tokens = config.prefix_tokens + 6
    assert inside.tokens.shape == (3, 2, tokens, 16)
    assert inside.attention_weights.shape == (3, 2, 2, tokens, tokens)
    assert inside.logits_bias.shape[-2:] == (tokens, tokens)
    patches = inside.tokens[-1, :, config.prefix_tokens :].reshape(2, 2, 3, 16)
    np.testing.assert_allclose(patches, features_of(model, images).pre_norm, rtol=1e-5, atol=1e-5)
    if not config.mixes_heads:
        np.testing.assert_allclose(jnp.sum(inside.attention_weights, axis=-1), 1, rtol=1e-5)


def one_patch(model, images, position, *, is_normalized):
    """Features of one patch, from the input of the last block."""

    def compute(images, position):
        return model.token_features(model.before_last_block(images), position, is_normalized=is_normalized)

    return jax.jit(compute)(images, position)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_features_of_one_patch_are_those_of_the_map(config):
    model, images = build(config, KEY), images_for(config)
    position = jnp.array([1, 2], jnp.int32)
    features = features_of(model, images)
    for is_normalized, expected in ((True, features.last), (False, features.pre_norm)):
        found = one_patch(model, images, position, is_normalized=is_normalized)
        np.testing.assert_allclose(found, expected[:, 1, 2], rtol=1e-5, atol=1e-5)


def test_the_features_of_one_patch_of_a_single_block_are_those_of_the_map():
    config = dataclasses.replace(PLAIN, depth=1)
    model, images = build(config, KEY), images_for(config, batch=1)
    found = one_patch(model, images, jnp.array([0, 1], jnp.int32), is_normalized=False)
    np.testing.assert_allclose(found, features_of(model, images).pre_norm[:, 0, 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_parameter_of_every_variant_has_a_gradient(config):
    graph, _ = abstract(classifier(config))
    params = network_params(config)
    images = images_for(config)
    gradients = jax.jit(jax.grad(lambda p: jnp.sum(jnp.square(nnx.merge(graph, p)(images)))))(params)
    silent = [path for path, leaf in flatten_paths(gradients).items() if not np.any(np.asarray(leaf))]
    # A table reaches a shift of all logits of a query only in ways that the softmax ignores.
    assert [path for path in silent if "fc2_bias" not in path] == []


def test_a_shared_bias_serves_every_block():
    config = VARIANTS["one bias for all blocks"]
    paths = flatten_paths(abstract(config)[1])
    assert paths["shared_bias.relative_mlp.fc1_kernel"].shape == (2, 8)
    assert not any(path.startswith("blocks") and "relative_mlp" in path for path in paths)
    table = build(config, KEY).shared_table()
    (inside,) = jax.jit(build(without_terms(config, Gaussian), KEY).intermediates)(images_for(config))
    np.testing.assert_allclose(inside.logits_bias[0], inside.logits_bias[2])
    assert table.shape == (2, 3, 5)


def test_the_class_token_sees_its_own_three_biases():
    config = VARIANTS["three biases of a class token"]
    model = build(config, KEY)
    graph, stacked = nnx.split(model.blocks)
    block = nnx.merge(graph, jax.tree.map(lambda leaf: leaf[1], stacked))
    to_patch, from_patch, itself = block.attention.bias.prefix().T
    bias = block.attention.logits_bias()
    np.testing.assert_array_equal(bias[:, 0, 1:], jnp.broadcast_to(to_patch[:, None], (2, 6)))
    np.testing.assert_array_equal(bias[:, 1:, 0], jnp.broadcast_to(from_patch[:, None], (2, 6)))
    np.testing.assert_array_equal(bias[:, 0, 0], itself)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_blocks": 1}, "class_blocks 1 needs a class token"),
        ({"class_blocks": 1, "class_token": True, "block_norm": "after"}, "class_blocks normalise before"),
        ({"register_tokens": 1}, "register_tokens needs a class token in all blocks"),
        ({"register_tokens": -1}, "register_tokens must not be negative, got -1"),
        ({"distillation_token": True}, "distillation_token needs a class token in all blocks"),
    ],
)
def test_variants_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(RELATIVE, **change)
