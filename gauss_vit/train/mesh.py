"""The devices of a run as a mesh of axes `data` and `fsdp`, and which part of an array each device holds.

A batch is split over both axes. Parameters and optimizer state are replicated over `data` and split over `fsdp` along
their largest divisible axis. The mesh has Auto axes (`jax.sharding.Mesh`): with Explicit ones, as `jax.make_mesh` gives
them, a data-parallel cross-entropy fails from jax 0.11 on.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from gauss_vit.batches import BATCH_AXES
from gauss_vit.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Number of devices on each axis.

    Attributes:
      data: number of copies of the parameters; -1 uses all devices that the other axis leaves.
      fsdp: number of devices over which one copy of parameters and optimizer state is split.
    """

    data: int = -1
    fsdp: int = 1

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: an axis has no device.
        """
        if self.data != -1 and self.data < 1:
            raise ConfigError(f"mesh data must be an integer >= 1, or -1 for all devices, got {self.data}")
        if self.fsdp < 1:
            raise ConfigError(f"mesh fsdp must be an integer >= 1, got {self.fsdp}")


def make(config: MeshConfig, devices: Sequence[jax.Device]) -> Mesh:
    """Builds the mesh, of the first devices if there are more than the config asks for.

    Raises:
      ConfigError: there are too few devices, or `fsdp` does not divide their number.
    """
    sizes = axis_sizes(config, len(devices))
    return Mesh(np.asarray(devices[: math.prod(sizes)], dtype=object).reshape(sizes), BATCH_AXES)


def make_abstract(config: MeshConfig, num_devices: int) -> AbstractMesh:
    """Builds the abstract mesh of a number of devices, to plan a layout without having them.

    Raises:
      ConfigError: as `make`.
    """
    return AbstractMesh(axis_sizes(config, num_devices), BATCH_AXES, axis_types=(AxisType.Auto,) * len(BATCH_AXES))


def axis_sizes(config: MeshConfig, num_devices: int) -> tuple[int, int]:
    """Returns the number of devices on each axis.

    Raises:
      ConfigError: there are too few devices, or `fsdp` does not divide their number.
    """
    num_data = num_devices // config.fsdp if config.data == -1 else config.data
    if config.data == -1 and (num_data == 0 or num_devices % config.fsdp):
        raise ConfigError(
            f"mesh fsdp {config.fsdp} does not divide the number of devices {num_devices}",
            do=f"choose {_nearest_divisor(config.fsdp, num_devices)}",
        )
    if num_data * config.fsdp > num_devices:
        raise ConfigError(
            f"mesh data {num_data} x fsdp {config.fsdp} needs {num_data * config.fsdp} devices, there are {num_devices}"
        )
    return num_data, config.fsdp


def check_batch_size(name: str, batch_size: int, mesh: Mesh | AbstractMesh) -> None:
    """Checks that every device gets the same number of examples.

    Args:
      name: field of the config, for the message.
      batch_size: number of examples over all devices.
      mesh: the devices.

    Raises:
      ConfigError: the size is not divisible by the number of devices.
    """
    if batch_size % mesh.size:
        nearest = max(1, round(batch_size / mesh.size)) * mesh.size
        raise ConfigError(
            f"{name} {batch_size} is not divisible by the number of devices {mesh.size}", do=f"choose {nearest}"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose leading axis is the batch."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def tree_shardings(mesh: Mesh | AbstractMesh, tree: PyTree) -> PyTree:
    """Returns the sharding of every leaf of parameters or of a whole train state.

    Args:
      mesh: the devices.
      tree: arrays, or their shapes; only shapes are read, so an optimizer's moments are sharded as their parameters.
    """
    return jax.tree.map(lambda leaf: NamedSharding(mesh, _leaf_spec(leaf.shape, mesh.shape["fsdp"])), tree)


def with_shardings(mesh: Mesh, tree: PyTree) -> PyTree:
    """Adds to every shape of a tree the sharding that it has on the mesh, as the target of a restore."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        tree,
        tree_shardings(mesh, tree),
    )


def place_batch(batch: PyTree, mesh: Mesh) -> PyTree:
    """Copies the rows of a batch on the host to the devices; with several processes each passes its own rows."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, leaf), batch)


def on_one_device(tree: PyTree, mesh: Mesh) -> PyTree:
    """Returns whole copies of the arrays of a mesh on one device, in each process on its own."""
    whole = jax.jit(lambda leaves: leaves, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)


def _leaf_spec(shape: tuple[int, ...], num_shards: int) -> PartitionSpec:
    """Splits the largest axis that is divisible; the last of equal ones, as kernels are [in, out]."""
    axes = [axis for axis, size in enumerate(shape) if size and size % num_shards == 0]
    if num_shards == 1 or not axes:
        return PartitionSpec()
    widest = max(axes, key=lambda axis: (shape[axis], axis))
    return PartitionSpec(*(None,) * widest, "fsdp")


def _nearest_divisor(value: int, number: int) -> int:
    """Finds the divisor of a number that is closest to a value."""
    return min((divisor for divisor in range(1, number + 1) if number % divisor == 0), key=lambda d: abs(d - value))
