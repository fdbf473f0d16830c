"""What is no table over offsets: changed by interventions, newly drawn beside foreign weights, and never baked."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from gauss_vit.config.schema import conform, encode_fields
from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.position import AxialRotary, Gaussian, MixedRotary, Position, QueryGaussian
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import starts_fresh
from gauss_vit.weights.export.stock_models import check_computes_alike
from gauss_vit.weights.intervention import applicable, intervene
from tests.models import test_swin
from tests.models.test_vit import PLAIN, images_for
from tests.networks import classifier, network_params

WITHOUT = dataclasses.replace(PLAIN, position=Position())
MIXED = dataclasses.replace(PLAIN, position=Position(rotary=MixedRotary(), query_gaussian=QueryGaussian()))
AXIAL = dataclasses.replace(PLAIN, position=Position(rotary=AxialRotary()))
TURNED = dataclasses.replace(test_swin.V1.position, rotary=AxialRotary())
START = "backbone.blocks.attention."
FREQUENCIES = f"{START}rotary.frequencies"
GAUSSIAN = [f"{START}query_gaussian.{part}" for part in ("strength", "variance")]
LEARNED = sorted([FREQUENCIES, *(f"{each}_{part}" for each in GAUSSIAN for part in ("bias", "kernel"))])
KEY = jax.random.key(3)


def changed(config, name):
    """The config, and the changed leaves, after an intervention."""
    params = network_params(config)
    other, after = intervene(config, params, name, key=KEY)
    before, leaves = flatten_paths(params), flatten_paths(after)
    assert {path: leaf.shape for path, leaf in before.items()} == {path: leaf.shape for path, leaf in leaves.items()}
    return other, {path: np.asarray(leaf) for path, leaf in leaves.items() if leaf is not before[path]}


def logits_of(config, leaves):
    graph, _ = abstract(classifier(config))
    return nnx.merge(graph, unflatten_paths(leaves))(images_for(config))


def test_reinit_draws_all_of_it_again():
    config, leaves = changed(MIXED, "reinit")
    assert config == MIXED
    assert sorted(leaves) == LEARNED
    # One direction for every layer and head.
    assert len(np.unique(np.round(leaves[FREQUENCIES][:, 0, :, 0], 4))) == 6


def test_zero_leaves_a_model_without_it():
    config, leaves = changed(MIXED, "zero")
    assert config == MIXED
    assert sorted(leaves) == [f"{GAUSSIAN[0]}_bias", f"{GAUSSIAN[0]}_kernel", FREQUENCIES]
    whole = flatten_paths(network_params(MIXED)) | leaves
    plain = {path: leaf for path, leaf in whole.items() if path not in LEARNED}
    np.testing.assert_allclose(logits_of(MIXED, whole), logits_of(WITHOUT, plain), atol=1e-6)


def test_zero_of_fixed_frequencies_leaves_the_rotation_out_of_the_config():
    assert changed(AXIAL, "zero") == (WITHOUT, {})


def test_interventions_that_apply_are_listed():
    assert applicable(MIXED) == ("none", "reinit", "zero")
    assert applicable(AXIAL) == ("none", "zero")
    with pytest.raises(ConfigError, match="nothing that the intervention reinit could change"):
        intervene(AXIAL, network_params(AXIAL), "reinit", key=KEY)


def test_foreign_weights_need_not_have_it():
    assert all(starts_fresh(path, MIXED) for path in LEARNED)
    assert [path for path in flatten_paths(network_params(MIXED)) if starts_fresh(path, MIXED)] == LEARNED


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (AXIAL, "this rotary embedding"),
        (dataclasses.replace(test_swin.V1, position=TURNED), "this rotary embedding"),
        (
            dataclasses.replace(WITHOUT, position=Position(query_gaussian=QueryGaussian())),
            "a Gaussian that every query",
        ),
        (dataclasses.replace(WITHOUT, refines_patches=True), "the refinement of patches"),
        (dataclasses.replace(test_swin.V1, refines_patches=True), "the refinement of patches"),
    ],
    ids=["rotary", "rotary in windows", "gaussian", "refined", "swin"],
)
def test_what_no_table_expresses_is_not_exported(config, what):
    with pytest.raises(ConfigError, match=f"no table expresses {what}") as caught:
        check_computes_alike(classifier(config), "timm")
    assert "--to=stablehlo" in str(caught.value)


@pytest.mark.parametrize(
    "position",
    [
        Position(rotary=AxialRotary(base=10000.0, reference=(16, 16)), query_gaussian=QueryGaussian(reference=(3, 4))),
        Position(terms=(Gaussian(),), rotary=MixedRotary(base=20.0)),
        Position(
            rotary=AxialRotary(coordinates="centered", pairing="half", order="xy"), query_gaussian=QueryGaussian()
        ),
        Position(),
    ],
    ids=["eva02", "mixed", "dinov3", "none"],
)
def test_a_stored_config_is_read_again_as_it_was(position):
    assert conform(encode_fields(position), Position) == position
