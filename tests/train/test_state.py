"""Train states: structure, independence of devices, types."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.position import Gaussian, Position, RelativeMlp
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer
from gauss_vit.train.optim.optimizer import make
from gauss_vit.train.state import TrainState, abstract_model, abstract_state, init_state
from gauss_vit.tree import flatten_paths
from tests.models import test_vit
from tests.networks import classifier
from tests.train.toy import CLASSES, build


def state_on(data: int, fsdp: int, *, seed: int = 0) -> TrainState:
    mesh = meshes.make(MeshConfig(data=data, fsdp=fsdp), jax.devices())
    transform = make(Optimizer(rule=AdamW(), learning_rate=0.1, weight_decay=0.0), abstract_model(build).params, 10)
    return init_state(build, transform, mesh=mesh, seed=seed)


def test_abstract_state_has_the_shapes_and_types_of_the_real_one():
    transform = make(Optimizer(rule=AdamW(), learning_rate=0.1, weight_decay=0.0), abstract_model(build).params, 10)
    abstract = abstract_state(abstract_model(build).params, transform)
    actual = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state_on(1, 1))
    chex.assert_trees_all_equal_shapes_and_dtypes(abstract, actual)


def test_model_comes_back_from_its_structure_and_parameters():
    model = nnx.merge(abstract_model(build).graph, state_on(1, 1).params)
    assert model(jnp.zeros((2, 4, 6, 3), jnp.float32)).shape == (2, CLASSES)


@pytest.mark.parametrize(("data", "fsdp"), [(8, 1), (2, 4)])
def test_start_has_the_same_bits_on_any_mesh(data: int, fsdp: int):
    chex.assert_trees_all_equal(state_on(1, 1), state_on(data, fsdp))


def test_start_depends_on_the_seed():
    assert not np.array_equal(state_on(1, 1, seed=0).params["kernel"], state_on(1, 1, seed=1).params["kernel"])


def test_no_leaf_is_weakly_typed():
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state_on(1, 1)))


def test_moments_lie_as_their_parameters():
    state = state_on(2, 4)
    kernel = state.params["kernel"]
    same = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == kernel.shape]
    assert len(same) == 2 and all(leaf.sharding == kernel.sharding for leaf in same)


def test_terms_name_the_parameters_that_are_not_decayed():
    config = dataclasses.replace(
        test_vit.RELATIVE, position=Position(terms=(RelativeMlp(hidden=4), Gaussian()), shared=(Gaussian(),))
    )
    model = abstract_model(classifier(config).make)
    assert sorted(model.undecayed) == [
        f"backbone.{where}.gaussian.{name}"
        for where in ("blocks.attention.bias", "shared_bias")
        for name in ("amplitude", "sigma")
    ]
    assert set(model.undecayed) <= set(flatten_paths(model.params))
    assert abstract_model(build).undecayed == ()
