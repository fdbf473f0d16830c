"""Meshes of eight simulated devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec

from gauss_vit.errors import ConfigError
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.tree import flatten_paths, unflatten_paths
from tests.train.toy import batch_of


def mesh_of(data: int = -1, fsdp: int = 1, **axes: int) -> Mesh:
    return meshes.make(MeshConfig(data=data, fsdp=fsdp, **axes), jax.devices())


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ({}, (1, 8, 1, 1)),
        ({"fsdp": 4}, (1, 2, 4, 1)),
        ({"data": 2, "fsdp": 2}, (1, 2, 2, 1)),
        ({"data": 1}, (1, 1, 1, 1)),
        ({"slices": 2, "tensor": 2}, (2, 2, 1, 2)),
        ({"data": 1, "slices": 2, "fsdp": 2, "tensor": 2}, (2, 1, 2, 2)),
    ],
)
def test_axes_have_the_sizes_of_the_config(sizes: dict[str, int], shape: tuple[int, ...]):
    mesh = mesh_of(**sizes)
    assert mesh.devices.shape == shape
    assert mesh.axis_names == ("slices", "data", "fsdp", "tensor")
    assert set(mesh.axis_types) == {AxisType.Auto}
    assert list(mesh.devices.flat) == jax.devices()[: mesh.size]


@pytest.mark.parametrize(
    ("sizes", "message", "remedy"),
    [
        ({"fsdp": 3}, "fsdp 3 does not divide the number of devices 8", "choose 2"),
        ({"fsdp": 16}, "does not divide", "choose 8"),
        ({"fsdp": 2, "tensor": 3}, "fsdp 2 x tensor 3 does not divide", "choose values whose product is 4"),
        ({"data": 16}, "data 16 needs 16 devices, there are 8", ""),
        ({"data": 2, "slices": 2, "tensor": 4}, "data 2 x slices 2 x tensor 4 needs 16 devices, there are 8", ""),
    ],
)
def test_too_few_devices_are_refused(sizes: dict[str, int], message: str, remedy: str):
    with pytest.raises(ConfigError, match=message) as caught:
        mesh_of(**sizes)
    assert caught.value.do == remedy


@pytest.mark.parametrize(
    "values", [{"data": 0}, {"data": -2}, {"fsdp": 0}, {"slices": 0}, {"tensor": 0}, {"whole_below": -1}]
)
def test_empty_axes_are_refused(values: dict[str, int]):
    with pytest.raises(ConfigError, match="must be an integer"):
        MeshConfig(**values)


def test_indivisible_batch_names_both_values_and_the_nearest_valid_one():
    with pytest.raises(ConfigError, match="batch_size 13 is not divisible by the number of devices 8") as caught:
        meshes.check_batch_size("batch_size", 13, mesh_of())
    assert caught.value.do == "choose 16"
    meshes.check_batch_size("batch_size", 16, mesh_of())


def test_batch_smaller_than_the_mesh_is_told_the_size_of_the_mesh():
    with pytest.raises(ConfigError) as caught:
        meshes.check_batch_size("batch_size", 1, mesh_of())
    assert caught.value.do == "choose 8"


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((), PartitionSpec()),
        ((3,), PartitionSpec()),
        ((8,), PartitionSpec("fsdp")),
        ((8, 4), PartitionSpec("fsdp")),
        ((4, 8), PartitionSpec(None, "fsdp")),
        ((8, 8), PartitionSpec(None, "fsdp")),
        ((12, 7, 16), PartitionSpec(None, None, "fsdp")),
        ((0, 8), PartitionSpec(None, "fsdp")),
    ],
)
def test_parameters_are_split_along_their_largest_divisible_axis(shape: tuple[int, ...], spec: PartitionSpec):
    leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
    assert meshes.tree_shardings(mesh_of(2, 4), {"leaf": leaf})["leaf"].spec == spec


def test_batch_is_split_over_all_axes_but_tensor():
    mesh = mesh_of(slices=2, fsdp=2, tensor=2)
    assert meshes.num_batch_shards(mesh) == 4
    meshes.check_batch_size("batch_size", 12, mesh)
    with pytest.raises(ConfigError, match="not divisible by the number of devices 4 that a batch is split over"):
        meshes.check_batch_size("batch_size", 6, mesh)
    placed = meshes.place_batch(np.arange(8), mesh)
    for shard in placed.addressable_shards:
        np.testing.assert_array_equal(shard.data, np.arange(8)[shard.index])
        assert shard.data.shape == (2,)


QKV, FC2 = "blocks.attention.query_key_value.kernel", "stages.0.blocks.mlp.fc2.kernel"


@pytest.mark.parametrize(
    ("path", "shape", "spec"),
    [
        (QKV, (3, 16, 48), PartitionSpec(None, "fsdp", "tensor")),
        ("blocks.attention.query_key_value.bias", (2, 48), PartitionSpec("fsdp", "tensor")),
        ("blocks.attention.projection.kernel", (2, 16, 16), PartitionSpec(None, "tensor", "fsdp")),
        ("blocks.attention.projection.bias", (2, 16), PartitionSpec(None, "fsdp")),
        ("blocks.mlp.fc1.kernel", (2, 16, 64), PartitionSpec(None, "fsdp", "tensor")),
        (FC2, (2, 64, 16), PartitionSpec(None, "tensor", "fsdp")),
        ("blocks.attention.bias.gaussian.sigma", (3, 1), PartitionSpec()),
        ("blocks.attention.query_key_value.kernel", (3, 5, 47), PartitionSpec()),
        ("head.linear.kernel", (16, 10), PartitionSpec("fsdp")),
    ],
)
def test_heads_and_hidden_channels_are_split_over_tensor(path: str, shape: tuple[int, ...], spec: PartitionSpec):
    leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
    mesh = mesh_of(2, 2, tensor=2)
    for root in ("params.backbone", "opt_state.1.mu.backbone", "ema.backbone", "backbone"):
        tree = unflatten_paths({f"{root}.{path}": leaf})
        assert flatten_paths(meshes.tree_shardings(mesh, tree))[f"{root}.{path}"].spec == spec


def test_small_arrays_are_whole():
    leaves = {"small": jax.ShapeDtypeStruct((7, 8), jnp.float32), "large": jax.ShapeDtypeStruct((8, 8), jnp.float32)}
    shardings = meshes.tree_shardings(mesh_of(2, 4), leaves, whole_below=64)
    assert {name: sharding.is_fully_replicated for name, sharding in shardings.items()} == {
        "small": True,
        "large": False,
    }


@pytest.mark.parametrize(
    ("heads", "tensor", "nearest"), [((6,), 4, 3), ((6,), 8, 6), ((3, 6, 12, 24), 2, 1), ((4, 6), 4, 2), ((12,), 5, 4)]
)
def test_heads_that_do_not_divide_name_the_nearest_number_that_does(heads: tuple[int, ...], tensor: int, nearest: int):
    with pytest.raises(ConfigError, match=f"tensor {tensor} does not divide the number of heads") as caught:
        meshes.check_heads(heads, meshes.make_abstract(MeshConfig(tensor=tensor), tensor))
    assert caught.value.do == f"set mesh.tensor={nearest}"
    meshes.check_heads(heads, meshes.make_abstract(MeshConfig(tensor=nearest), nearest))


def test_tensor_without_attention_is_refused():
    with pytest.raises(ConfigError, match="no attention"):
        meshes.check_heads((), mesh_of(tensor=2))
    meshes.check_heads((), mesh_of())


def test_without_fsdp_parameters_are_whole_everywhere():
    leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    assert meshes.tree_shardings(mesh_of(), [leaf])[0].is_fully_replicated


def test_fsdp_divides_memory_by_the_number_of_devices():
    mesh = mesh_of(2, 4)
    array = jax.device_put(jnp.ones((16, 8), jnp.float32), meshes.tree_shardings(mesh, jnp.ones((16, 8), jnp.float32)))
    assert {shard.data.size for shard in array.addressable_shards} == {16 * 8 // 4}


def test_with_shardings_keeps_shapes_and_types():
    leaf = jax.ShapeDtypeStruct((4, 8), jnp.bfloat16)
    target = meshes.with_shardings(mesh_of(2, 4), {"a": leaf})["a"]
    assert (target.shape, target.dtype, target.sharding.spec) == ((4, 8), jnp.bfloat16, PartitionSpec(None, "fsdp"))


def test_batch_is_split_in_order_over_both_axes():
    batch = batch_of(0, 16)
    placed = meshes.place_batch(batch, mesh_of(4, 2))
    np.testing.assert_array_equal(placed.image, batch.image)
    for shard in placed.targets.label.addressable_shards:
        np.testing.assert_array_equal(shard.data, batch.targets.label[shard.index])
        assert shard.data.shape == (2,)
