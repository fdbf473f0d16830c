"""Interventions change the position information of a model and nothing else, each as it says."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, with_terms, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.intervention import applicable, intervene, parse_interventions
from tests.networks import classifier, network_params

PLAIN = ViTConfig(
    image_size=(12, 16),
    patch_size=(4, 4),
    width=32,
    depth=3,
    num_heads=2,
    class_token=True,
    pool="token",
    norm="before_pool",
    biases="all",
    layer_scale=None,
    start="fan_in_uniform",
    position=Position(),
)
ABSOLUTE = dataclasses.replace(PLAIN, position=Position(absolute=AbsoluteEmbedding()))
RELATIVE = dataclasses.replace(PLAIN, position=Position(terms=(RelativeMlp(),)))
SHARED = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),), shared=(RelativeMlp(),)))
BEIT = dataclasses.replace(PLAIN, position=Position(terms=(RelativeTable(init_std=0.0, has_prefix=True),)))
BOTH = dataclasses.replace(
    ABSOLUTE,
    position=Position(
        terms=(
            RelativeMlp(),
            Gaussian(),
        ),
        absolute=AbsoluteEmbedding(),
    ),
)
SWIN = SwinConfig(
    image_size=(64, 64),
    patch_size=(4, 4),
    width=16,
    depths=(2, 1),
    num_heads=(2, 4),
    window=(8, 8),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(terms=(RelativeTable(),)),
)
SWIN2 = dataclasses.replace(
    SWIN,
    biases="query_value",
    similarity="cosine",
    norm="after",
    position=Position(terms=(RelativeMlp(hidden=512, mode="swin", dropout=0.0),)),
)
MODELS = {
    "absolute": ABSOLUTE,
    "relative": RELATIVE,
    "shared": SHARED,
    "beit": BEIT,
    "both": BOTH,
    "swin": SWIN,
    "swin2": SWIN2,
}
BLOCKS = "backbone.blocks.attention.bias."
MLP = ["fc1_bias", "fc1_kernel", "fc2_bias", "fc2_kernel"]
STAGES = [f"backbone.stages.{index}.blocks.attention.bias." for index in (0, 1)]


@functools.cache
def params_of(config):
    """Parameters that no fresh start gives: their own, moved by 3."""
    _, shapes = abstract(classifier(config))
    random = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: jnp.asarray(3 + random.normal(size=leaf.shape), leaf.dtype), shapes)


@functools.cache
def changed_leaves(config, name, seed=0):
    _, params = intervene(config, params_of(config), name, key=jax.random.key(seed))
    before, after = flatten_paths(params_of(config)), flatten_paths(params)
    assert list(before) == list(after)
    assert {path: leaf.shape for path, leaf in before.items()} == {path: leaf.shape for path, leaf in after.items()}
    return {path: np.asarray(leaf) for path, leaf in after.items() if leaf is not before[path]}


EXPECTED = {
    ("absolute", "reinit"): ["backbone.position_embed"],
    ("absolute", "paper_code"): ["backbone.position_embed"],
    ("absolute", "zero"): ["backbone.position_embed"],
    ("relative", "reinit"): [f"{BLOCKS}relative_mlp.{name}" for name in MLP],
    ("relative", "paper_code"): [f"{BLOCKS}relative_mlp.{name}" for name in MLP],
    ("relative", "zero"): [f"{BLOCKS}relative_mlp.{name}" for name in MLP],
    ("shared", "reinit"): [f"{BLOCKS}gaussian.amplitude", f"{BLOCKS}gaussian.sigma"]
    + [f"backbone.shared_bias.relative_mlp.{name}" for name in MLP],
    ("shared", "paper_code"): [f"backbone.shared_bias.relative_mlp.{name}" for name in MLP],
    ("shared", "zero"): [f"{BLOCKS}gaussian.amplitude"] + [f"backbone.shared_bias.relative_mlp.{name}" for name in MLP],
    ("beit", "reinit"): [f"{BLOCKS}relative.table_and_prefix"],
    ("beit", "paper_code"): [],
    ("beit", "zero"): [f"{BLOCKS}relative.table_and_prefix"],
    ("both", "zero"): [f"{BLOCKS}gaussian.amplitude"]
    + [f"{BLOCKS}relative_mlp.{name}" for name in MLP]
    + ["backbone.position_embed"],
    ("swin", "reinit"): [f"{stage}relative.table" for stage in STAGES],
    ("swin", "paper_code"): [f"{stage}relative.table" for stage in STAGES],
    ("swin", "zero"): [f"{stage}relative.table" for stage in STAGES],
    ("swin2", "reinit"): [f"{stage}relative_mlp.{name}" for stage in STAGES for name in MLP if name != "fc2_bias"],
    ("swin2", "paper_code"): [f"{stage}relative_mlp.{name}" for stage in STAGES for name in MLP if name != "fc2_bias"],
    ("swin2", "zero"): [f"{stage}relative_mlp.{name}" for stage in STAGES for name in MLP if name != "fc2_bias"],
}


@pytest.mark.parametrize(("model", "name"), EXPECTED, ids="-".join)
def test_exactly_the_position_information_changes(model, name):
    assert sorted(changed_leaves(MODELS[model], name)) == EXPECTED[model, name]


@pytest.mark.parametrize("model", [model for model in MODELS if model != "swin2"])
def test_zero_leaves_zeros(model):
    assert all((leaf == 0).all() for leaf in changed_leaves(MODELS[model], "zero").values())


def check_uniform(values, limit):
    """Within the limit, up to it, and with the deviation of a uniform distribution."""
    assert np.abs(values).max() <= limit
    assert np.abs(values).max() > 0.97 * limit
    assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)


def test_an_absolute_embedding_is_drawn_anew_or_is_zero_as_in_the_papers_code():
    (drawn,) = changed_leaves(ABSOLUTE, "reinit").values()
    assert drawn.std() == pytest.approx(0.02, rel=0.1)
    assert abs(drawn.mean()) < 0.005
    (papers,) = changed_leaves(ABSOLUTE, "paper_code").values()
    assert (papers == 0).all()


@pytest.mark.parametrize("config", [RELATIVE, SHARED], ids=["own", "shared"])
@pytest.mark.parametrize("name", ["reinit", "paper_code"])
def test_a_relative_mlp_gets_the_start_of_pytorchs_linear_layers(config, name):
    leaves = {path.rsplit(".")[-1]: leaf for path, leaf in changed_leaves(config, name).items() if "_mlp" in path}
    check_uniform(leaves["fc1_kernel"], 1 / np.sqrt(2))
    check_uniform(leaves["fc1_bias"], 1 / np.sqrt(2))
    check_uniform(leaves["fc2_kernel"], 1 / np.sqrt(128))
    assert np.abs(leaves["fc2_bias"]).max() <= 1 / np.sqrt(128)


def test_swin_tables_have_std_002_as_the_model_and_std_1_cut_at_2_as_the_papers_code():
    for leaf in changed_leaves(SWIN, "reinit").values():
        assert leaf.std() == pytest.approx(0.02, rel=0.1)
    papers = np.concatenate([leaf.ravel() for leaf in changed_leaves(SWIN, "paper_code").values()])
    assert np.abs(papers).max() <= 2
    # The deviation of a standard normal distribution cut at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
    assert papers.std() == pytest.approx(0.8796, rel=0.05)


def test_swinv2_starts_with_a_bias_of_0_but_not_in_the_papers_code():
    own, papers = changed_leaves(SWIN2, "reinit"), changed_leaves(SWIN2, "paper_code")
    for stage in STAGES:
        assert (own[f"{stage}relative_mlp.fc1_bias"] == 0).all()
        assert own[f"{stage}relative_mlp.fc1_kernel"].std() == pytest.approx(0.02, rel=0.1)
        check_uniform(papers[f"{stage}relative_mlp.fc1_bias"], 1 / np.sqrt(2))
        check_uniform(papers[f"{stage}relative_mlp.fc1_kernel"], 1 / np.sqrt(2))
        check_uniform(papers[f"{stage}relative_mlp.fc2_kernel"], 1 / np.sqrt(512))


def test_beit_starts_at_zeros():
    (table,) = changed_leaves(BEIT, "reinit").values()
    assert (table == 0).all()


def test_a_gaussian_goes_back_to_its_start_values():
    config = with_terms(PLAIN, Gaussian(amplitude=1.5, sigma=2.5))
    leaves = changed_leaves(config, "reinit")
    np.testing.assert_array_equal(leaves[f"{BLOCKS}gaussian.amplitude"], np.full((3, 1), 1.5, np.float32))
    np.testing.assert_array_equal(leaves[f"{BLOCKS}gaussian.sigma"], np.full((3, 1), 2.5, np.float32))


def test_draws_repeat_with_their_key_and_differ_between_layers():
    path = f"{BLOCKS}relative_mlp.fc2_kernel"
    first, again = (intervene(RELATIVE, params_of(RELATIVE), "reinit", key=jax.random.key(0))[1] for _ in range(2))
    chex.assert_trees_all_equal(first, again)
    drawn, other = changed_leaves(RELATIVE, "reinit")[path], changed_leaves(RELATIVE, "reinit", seed=1)[path]
    assert not np.isclose(drawn, other).any(axis=1).all()
    assert not np.isclose(drawn[0], drawn[1]).any(axis=1).all()


@pytest.mark.parametrize("config", [SHARED, BOTH, with_terms(SWIN, Gaussian())], ids=["shared", "both", "swin"])
def test_without_gaussian_the_model_is_the_one_that_never_had_it(config):
    bare, params = intervene(config, params_of(config), "without_gaussian", key=jax.random.key(0))
    assert bare == without_terms(config, Gaussian)
    graph, shapes = abstract(classifier(bare))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)
    before = flatten_paths(params_of(config))
    assert all(leaf is before[path] for path, leaf in flatten_paths(params).items())
    assert nnx.merge(graph, params) is not None


def tokens_of(config, params, images):
    graph, _ = abstract(classifier(config))
    features = jax.jit(lambda params, images: nnx.merge(graph, params).backbone.features(images))(params, images)
    return np.asarray(features.last).reshape(images.shape[0], -1, config.width), np.asarray(features.prefix)


def shuffled(images, order):
    """Moves whole patches of 4 x 4 pixels."""
    patches = images.reshape(2, 3, 4, 4, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 12, 4, 4, 3)[:, order]
    return patches.reshape(2, 3, 4, 4, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 12, 16, 3)


@pytest.mark.parametrize("model", ["absolute", "relative", "shared", "beit", "both"])
def test_a_vit_without_positions_maps_permuted_patches_to_permuted_tokens(model):
    config = MODELS[model]
    fresh = network_params(config)
    if model == "beit":
        fresh["backbone"]["blocks"]["attention"]["bias"] = params_of(config)["backbone"]["blocks"]["attention"]["bias"]
    order = np.random.default_rng(0).permutation(12)
    images = jax.random.normal(jax.random.key(2), (2, 12, 16, 3), jnp.float32)
    _, params = intervene(config, fresh, "zero", key=jax.random.key(0))
    plain, prefix = tokens_of(config, params, images)
    mixed, mixed_prefix = tokens_of(config, params, shuffled(images, order))
    np.testing.assert_allclose(mixed, plain[:, order], atol=2e-5)
    np.testing.assert_allclose(mixed_prefix, prefix, atol=2e-5)


def test_a_vit_with_positions_does_not():
    fresh = network_params(BOTH)
    order = np.random.default_rng(0).permutation(12)
    images = jax.random.normal(jax.random.key(2), (2, 12, 16, 3), jnp.float32)
    plain, _ = tokens_of(BOTH, fresh, images)
    mixed, _ = tokens_of(BOTH, fresh, shuffled(images, order))
    assert np.abs(mixed - plain[:, order]).max() > 1e-2


def test_zero_takes_the_bias_of_swinv2_to_zero():
    _, params = intervene(SWIN2, params_of(SWIN2), "zero", key=jax.random.key(0))
    stage = nnx.merge(abstract(classifier(SWIN2))[0], params).backbone.stages["1"]
    (term,) = stage.config.block.attention.terms
    layer = {
        name: leaf[0]
        for name, leaf in params["backbone"]["stages"]["1"]["blocks"]["attention"]["bias"][term.name].items()
    }
    assert (np.asarray(term.table(layer, (8, 8))) == 0).all()


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (PLAIN, ("none",)),
        (ABSOLUTE, ("none", "reinit", "paper_code", "zero")),
        (with_terms(PLAIN, Gaussian()), ("none", "reinit", "zero", "without_gaussian")),
        (SWIN, ("none", "reinit", "paper_code", "zero")),
        (BOTH, ("none", "reinit", "paper_code", "zero", "without_gaussian")),
    ],
    ids=["plain", "absolute", "gaussian", "swin", "both"],
)
def test_what_applies_depends_on_what_there_is(config, names):
    assert applicable(config) == names


def test_what_does_not_apply_is_refused_with_what_does():
    with pytest.raises(ConfigError, match="choose none or reinit or paper_code or zero"):
        intervene(SWIN, params_of(SWIN), "without_gaussian", key=jax.random.key(0))


def test_none_gives_the_model_itself():
    config, params = intervene(ABSOLUTE, params_of(ABSOLUTE), "none", key=jax.random.key(0))
    assert config is ABSOLUTE and params is params_of(ABSOLUTE)


def test_names_are_read_from_a_list():
    assert parse_interventions("none,zero, paper_code") == ("none", "zero", "paper_code")
    with pytest.raises(ConfigError, match="'zeros' is none"):
        parse_interventions("none,zeros")
    with pytest.raises(ConfigError, match="twice"):
        parse_interventions("zero,zero")
