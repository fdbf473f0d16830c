"""Costs: operations against closed forms, memory against the shapes themselves."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.train import cost, mesh
from gauss_vit.train.state import AbstractModel, abstract_model

SIZE = (4, 6)
INPUTS, HIDDEN = 4 * 6 * 3, 32


class TwoLayers(nnx.Module):
    """Two products with a tanh between them, whose cost can be counted by hand."""

    def __init__(self, key: PRNGKeyArray):
        self.first = nnx.Param(jax.random.normal(key, (INPUTS, HIDDEN), jnp.float32))
        self.second = nnx.Param(jax.random.normal(key, (HIDDEN, HIDDEN), jnp.float32))

    def __call__(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch channels"]:
        """Multiplies flattened images twice."""
        return jnp.tanh(images.reshape(images.shape[0], -1) @ self.first[...]) @ self.second[...]


def model() -> AbstractModel:
    return abstract_model(TwoLayers)


def test_forward_operations_are_two_for_every_weight():
    products = 2 * (INPUTS * HIDDEN + HIDDEN * HIDDEN)
    forward = cost.image_flops(model(), SIZE).forward
    assert products <= forward <= products + 5 * HIDDEN


def test_backward_pass_has_the_products_for_weights_and_activations():
    products = 2 * (2 * INPUTS * HIDDEN + 3 * HIDDEN * HIDDEN)
    backward = cost.image_flops(model(), SIZE).backward
    assert products <= backward <= products * 1.1


def test_activations_grow_with_the_batch_and_leave_out_parameters():
    sizes = [cost.activation_bytes(model(), SIZE, batch_size=batch) for batch in (1, 2, 3)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    hidden = 4 * HIDDEN
    assert hidden <= sizes[0] <= 3 * hidden + 4 * INPUTS


def test_device_holds_its_share_of_split_arrays_and_the_whole_of_others():
    devices = mesh.make_abstract(mesh.MeshConfig(fsdp=4), 8)
    tree = {"split": jax.ShapeDtypeStruct((8, 3), jnp.float32), "whole": jax.ShapeDtypeStruct((5,), jnp.bfloat16)}
    shardings = {
        "split": NamedSharding(devices, PartitionSpec("fsdp")),
        "whole": NamedSharding(devices, PartitionSpec()),
    }
    assert cost.device_bytes(tree, shardings) == 2 * 3 * 4 + 5 * 2


def test_scalars_and_empty_trees_are_counted():
    devices = mesh.make_abstract(mesh.MeshConfig(), 2)
    scalar = {"step": jax.ShapeDtypeStruct((), jnp.int32)}
    assert cost.device_bytes(scalar, mesh.tree_shardings(devices, scalar)) == 4
    assert cost.device_bytes({}, {}) == 0
