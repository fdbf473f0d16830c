"""A baked model computes what it computed before, and a table that was split does, too."""

import dataclasses
import functools
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.position import Gaussian, LookHere, RelativeMlp, RelativeTable
from gauss_vit.position.position import Position, with_terms, without_terms
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bake import bake, unbake
from gauss_vit.weights.baked_gaussian import gaussian_of
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import timm_rules
from tests.models import deterministic
from tests.models.test_vit import RELATIVE
from tests.networks import classifier
from tests.weights.bake_models import ALL, CLASS_TOKEN, EXPORTED, FOUR_HEADS, WITH_ONE_TERM, params_for
from tests.weights.hugging_face_models import SWIN

RECORDED = np.load(Path(__file__).with_name("bake_reference.npz"))
BEIT = EXPORTED["beit"]
SHARED = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),), shared=(RelativeMlp(hidden=8),)))
CONFIGS = {
    "mlp": RELATIVE,
    "mlp of another mode": dataclasses.replace(
        RELATIVE,
        position=Position(
            terms=(
                RelativeMlp(hidden=8, mode="swin"),
                Gaussian(),
            )
        ),
    ),
    "mlp alone": without_terms(RELATIVE, Gaussian),
    "table": dataclasses.replace(
        RELATIVE,
        position=Position(
            terms=(
                RelativeTable(),
                Gaussian(),
            )
        ),
    ),
    "gaussian alone": dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(per_head=True),))),
    "every variant": with_terms(RELATIVE, ALL),
    "class token": CLASS_TOKEN,
    "beit": BEIT,
    "shared": SHARED,
    "shared alone": without_terms(SHARED, Gaussian),
    "shared beside a class token": dataclasses.replace(CLASS_TOKEN, position=Position(shared=(RelativeMlp(hidden=8),))),
    "swin": with_terms(SWIN, ALL),
}


def logits_of(config, params):
    images = jnp.asarray(deterministic.image((2, *config.image_size, 3)))
    return jax.jit(nnx.merge(abstract(classifier(config))[0], params))(images)


@functools.cache
def baked_model(name):
    """A baked model, and its logits."""
    baked, params = bake(CONFIGS[name], params_for(CONFIGS[name]))
    return baked, params, logits_of(baked, params)


@pytest.mark.parametrize("name", CONFIGS)
def test_baked_model_computes_the_same(name):
    baked, table_params, logits = baked_model(name)
    (only,) = baked.position.all_terms
    assert isinstance(only, RelativeTable)
    expected = abstract(classifier(baked))[1]
    assert jax.tree.structure(table_params) == jax.tree.structure(expected)
    assert [leaf.shape for leaf in jax.tree.leaves(table_params)] == [leaf.shape for leaf in jax.tree.leaves(expected)]
    np.testing.assert_allclose(logits, logits_of(CONFIGS[name], params_for(CONFIGS[name])), atol=1e-5)


@pytest.mark.parametrize("name", EXPORTED)
def test_stock_timm_computes_the_same_from_the_exported_file(name):
    """The recording loaded the file with strict=True into a stock model without any Gaussian."""
    logits = logits_of(EXPORTED[name], params_for(EXPORTED[name]))
    np.testing.assert_allclose(RECORDED[name], logits, atol=1e-4)


@functools.cache
def compiled(config):
    """The logits of a model, as a function of its parameters that is compiled once."""
    graph, _ = abstract(classifier(config))
    images = jnp.asarray(deterministic.image((2, *config.image_size, 3)))
    return jax.jit(lambda params: nnx.merge(graph, params)(images))


@pytest.mark.parametrize("name", WITH_ONE_TERM)
def test_stock_timm_computes_the_same_from_the_table_of_every_term(name):
    baked, params = bake(WITH_ONE_TERM[name], params_for(WITH_ONE_TERM[name]))
    assert baked == dataclasses.replace(FOUR_HEADS, position=Position(terms=(RelativeTable(),)))
    np.testing.assert_allclose(RECORDED[name], compiled(baked)(params), atol=1e-4)


IN_FULL = [
    pytest.param(name, marks=() if name in ("term alibi", "term look_here") else pytest.mark.full)
    for name in WITH_ONE_TERM
]


@pytest.mark.parametrize("name", IN_FULL)
def test_stock_timm_computes_the_same_as_the_model_with_the_term(name):
    config = WITH_ONE_TERM[name]
    np.testing.assert_allclose(RECORDED[name], compiled(config)(params_for(config)), atol=1e-4)


def test_bias_matters_in_these_tests():
    params = params_for(RELATIVE)
    without = without_terms(RELATIVE, Gaussian)
    bare = unflatten_paths({path: leaf for path, leaf in flatten_paths(params).items() if ".gaussian." not in path})
    assert float(jnp.abs(logits_of(RELATIVE, params) - logits_of(without, bare)).max()) > 1e-4


def test_shared_bias_stays_shared_only_if_it_is_alone():
    alone, params = bake(CONFIGS["shared alone"], params_for(CONFIGS["shared alone"]))
    assert alone.position.shared and "backbone.shared_bias.relative.table" in flatten_paths(params)
    summed, params = bake(SHARED, params_for(SHARED))
    assert not summed.position.shared and "backbone.blocks.attention.bias.relative.table" in flatten_paths(params)


def test_shared_bias_beside_prefix_tokens_becomes_tables_of_the_blocks_with_rows_of_zeros():
    baked, params, _ = baked_model("shared beside a class token")
    assert baked.position == Position(terms=(RelativeTable(has_prefix=True),))
    tables = flatten_paths(params)["backbone.blocks.attention.bias.relative.table_and_prefix"]
    np.testing.assert_array_equal(tables[..., -3:], 0)
    np.testing.assert_array_equal(tables[0], tables[-1])


@pytest.mark.parametrize("name", ["mlp", "class token", "beit", "shared", "shared alone", "swin"])
def test_baked_models_have_timms_names(name):
    baked, params, _ = baked_model(name)
    assert any("relative_position_bias_table" in key for key in naming.to_theirs(params, timm_rules(classifier(baked))))


def test_class_token_rows_are_timms_relpos_names_not_beits():
    baked, params = bake(CLASS_TOKEN, params_for(CLASS_TOKEN))
    table = naming.to_theirs(params, timm_rules(classifier(baked)))[
        "blocks.0.attn.rel_pos.relative_position_bias_table"
    ]
    assert table.shape == (18, 2)
    np.testing.assert_array_equal(table[-3:], 0)
    baked, params = bake(BEIT, params_for(BEIT))
    assert "blocks.0.attn.relative_position_bias_table" in naming.to_theirs(params, timm_rules(classifier(baked)))


def test_model_without_a_bias_stays_as_it_is():
    config = dataclasses.replace(RELATIVE, position=Position())
    params = params_for(config)
    assert bake(config, params) == (config, params)


def test_swin_v2_is_refused_with_the_reason():
    cosine = dataclasses.replace(
        SWIN,
        similarity="cosine",
        biases="query_value",
        position=Position(
            terms=(
                RelativeMlp(mode="swin"),
                Gaussian(),
            )
        ),
    )
    with pytest.raises(ConfigError, match="network whose output is the bias"):
        bake(cosine, {})


@pytest.mark.parametrize("gaussian", [Gaussian(), ALL], ids=["shared", "every variant"])
@pytest.mark.parametrize("name", ["table", "beit", pytest.param("swin", marks=pytest.mark.full)])
def test_split_tables_compute_the_same_and_bake_back(name, gaussian):
    config, params, logits = baked_model(name)
    split, split_params = unbake(config, params, gaussian)
    assert split.position.terms[1] == gaussian
    assert jax.tree.structure(split_params) == jax.tree.structure(abstract(classifier(split))[1])
    # Table and Gaussian are rounded apart and added again: two float32 roundings of logits below 10.
    np.testing.assert_allclose(logits_of(split, split_params), logits, atol=1e-5)
    again, again_params = bake(split, split_params)
    assert again == config
    chex.assert_trees_all_close(again_params, params, atol=1e-5, rtol=1e-7)


def test_tables_with_masked_offsets_are_not_split():
    masked = dataclasses.replace(RELATIVE, position=Position(terms=(LookHere(),)))
    with pytest.raises(ConfigError, match="a table with masked offsets cannot be split"):
        unbake(*bake(masked, params_for(masked)), Gaussian())


def test_split_finds_the_gaussian_that_was_baked():
    plain = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),)))
    params = params_for(plain)
    _, split_params = unbake(*bake(plain, params), Gaussian())
    leaves, found = flatten_paths(params), flatten_paths(split_params)
    for name in ("amplitude", "sigma"):
        path = f"backbone.blocks.attention.bias.gaussian.{name}"
        np.testing.assert_allclose(found[path], np.abs(leaves[path]), rtol=1e-2)


def test_a_gaussian_that_is_known_comes_back_bit_by_bit():
    plain = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),)))
    params = params_for(plain)
    known = gaussian_of(plain, params)
    _, split_params = unbake(*bake(plain, params), Gaussian(), known=known.params)
    leaves, found = flatten_paths(params), flatten_paths(split_params)
    for name in ("amplitude", "sigma"):
        path = f"backbone.blocks.attention.bias.gaussian.{name}"
        np.testing.assert_array_equal(found[path], leaves[path])
    np.testing.assert_allclose(found["backbone.blocks.attention.bias.relative.table"], 0, atol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "mlp alone", "shared alone"])
def test_only_tables_of_every_block_are_split(name):
    with pytest.raises(ConfigError, match="bake the model first"):
        unbake(CONFIGS[name], params_for(CONFIGS[name]), Gaussian())
