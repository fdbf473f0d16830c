"""Costs: operations against closed forms, memory against the shapes themselves."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax._src.cudnn import fused_attention_stablehlo
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.models import construct
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.vit import PRESETS_VIT
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train import cost, mesh
from gauss_vit.train.state import AbstractModel, abstract_model
from tests.networks import classifier

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


class Function(nnx.Module):
    """A function of the images, scaled by a parameter, as a model."""

    def __init__(self, function):
        self.function = function
        self.scale = nnx.Param(jnp.ones((1, 1), jnp.float32))

    def __call__(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "..."]:
        """Applies it to the flattened image."""
        return self.function(images.reshape(1, -1) * self.scale[...])


def forward_flops(function) -> float:
    return cost.image_flops(abstract_model(lambda key: Function(function)), SIZE).forward


def square(values):
    return values @ jnp.ones((INPUTS, INPUTS), jnp.float32)


PRODUCT = 2 * INPUTS**2


def test_what_a_loop_repeats_counts_as_often():
    once = forward_flops(square)
    looped = forward_flops(lambda values: jax.lax.scan(lambda carry, _: (square(carry), None), values, length=5)[0])
    assert once >= PRODUCT
    assert looped - once == 4 * PRODUCT


def test_of_branches_the_one_with_most_operations_counts():
    def chosen(values):
        return jax.lax.cond(values[0, 0] > 0, square, lambda values: square(square(values)), values)

    assert forward_flops(chosen) - forward_flops(square) == PRODUCT


def test_what_nobody_reads_does_not_count():
    def wasteful(values):
        square(values)
        return square(values)

    assert forward_flops(wasteful) == forward_flops(square)


def test_count_asks_no_backend(monkeypatch: pytest.MonkeyPatch):
    """Backends for GPUs and TPUs give no analysis of a program that is not compiled."""
    expected = cost.image_flops(model(), SIZE)
    monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", lambda self: None)
    assert cost.image_flops(model(), SIZE) == expected
    assert expected.forward > 0


@pytest.mark.parametrize(("size", "giga"), [("small", 27.5), ("medium", 47.8), ("base", 105.0)])
def test_operations_of_the_papers_models_are_as_xla_counts_them(size: str, giga: float):
    """As XLA's own analysis had them on a CPU, of blocks one by one."""
    preset = PRESETS_VIT[f"vit_relpos_{size}_patch16_224"]
    graph, params = construct.abstract(
        classifier(with_terms(dataclasses.replace(preset, compute=Compute(unroll=1)), Gaussian()), 1000)
    )
    flops = cost.image_flops(AbstractModel(graph=graph, params=params), preset.image_size)
    assert round(flops.backward / 1e9, 1) == giga


def test_attention_by_cudnn_counts_its_products(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)
    attend = functools.partial(jax.nn.dot_product_attention, implementation="cudnn")

    def attention(values):
        query = jnp.broadcast_to(values[:, :1, None, None], (1, 10, 2, 8)).astype(jnp.bfloat16)
        return attend(query, query[:, :6], query[:, :6])

    flops = cost.image_flops(abstract_model(lambda key: Function(attention)), SIZE)
    product, rest = 2 * 2 * 10 * 6 * 8, 20 * INPUTS
    assert 2 * product <= flops.forward <= 2 * product + rest
    assert 7 * product <= flops.backward <= 7 * product + rest


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


def test_parts_of_parameters_are_no_activations():
    preset = dataclasses.replace(PRESETS_VIT["vit_relpos_small_patch16_224"], depth=3, image_size=(32, 32))
    kept = []
    for unroll in (1, 3):
        graph, params = construct.abstract(
            classifier(dataclasses.replace(preset, compute=Compute(unroll=unroll)), 1000)
        )
        kept.append(cost.activation_bytes(AbstractModel(graph=graph, params=params), (32, 32), batch_size=1))
    looped, one_by_one = kept
    blocks = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params["backbone"]["blocks"]))
    assert abs(one_by_one - looped) < 0.05 * blocks, (looped, one_by_one, blocks)
