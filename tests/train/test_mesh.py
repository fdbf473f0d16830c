"""Meshes of eight simulated devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec

from gauss_vit.errors import ConfigError
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from tests.train.toy import batch_of


def mesh_of(data: int = -1, fsdp: int = 1) -> Mesh:
    return meshes.make(MeshConfig(data=data, fsdp=fsdp), jax.devices())


@pytest.mark.parametrize(("data", "fsdp", "shape"), [(-1, 1, (8, 1)), (-1, 4, (2, 4)), (2, 2, (2, 2)), (1, 1, (1, 1))])
def test_axes_have_the_sizes_of_the_config(data: int, fsdp: int, shape: tuple[int, int]):
    mesh = mesh_of(data, fsdp)
    assert mesh.devices.shape == shape
    assert mesh.axis_names == ("data", "fsdp")
    assert set(mesh.axis_types) == {AxisType.Auto}


@pytest.mark.parametrize(
    ("data", "fsdp", "message"),
    [
        (-1, 3, "fsdp 3 does not divide the number of devices 8"),
        (-1, 16, "does not divide"),
        (16, 1, "needs 16 devices, there are 8"),
    ],
)
def test_too_few_devices_are_refused(data: int, fsdp: int, message: str):
    with pytest.raises(ConfigError, match=message):
        mesh_of(data, fsdp)


@pytest.mark.parametrize("values", [{"data": 0}, {"data": -2}, {"fsdp": 0}])
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
