"""The devices of a run as a mesh of four axes, and which part of an array each device holds.

From the outermost, with the slowest network, to the innermost: `slices` (groups of devices without fast links between
them), `data`, `fsdp` and `tensor`. A batch is split over the first three. Parameters, with all that follows them, are
split over `tensor` by heads and hidden channels (`models.tensor_rules`) and over `fsdp` along their largest other axis,
and are copied over `slices` and `data`. The mesh has Auto axes (`jax.sharding.Mesh`): with Explicit ones, as
`jax.make_mesh` gives them, a data-parallel cross-entropy fails from jax 0.11 on.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from gauss_vit.batches import BATCH_AXES
from gauss_vit.errors import ConfigError
from gauss_vit.models.tensor_rules import TENSOR_RULES
from gauss_vit.ops.placement import AXES, TENSOR
from gauss_vit.train.device_layout import BatchShare, arrange, batch_share
from gauss_vit.tree import first_match, path_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Number of devices on each axis.

    Attributes:
      slices: Number of groups of devices with a slow network between them, such as TPU slices; each has copies of the
        parameters, and only gradients are sent between groups.
      data: Number of copies of the parameters in a group; -1 uses all devices that the other axes leave.
      fsdp: Number of devices over which one copy of parameters and optimizer state is split.
      tensor: Number of devices over which heads of attention and hidden channels of MLPs are split, in memory and in
        computation; it must divide the number of heads.
      whole_below: Number of elements below which an array is whole on every device: splitting it would save little
        memory and cost a message.
    """

    slices: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    whole_below: int = 2**18

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: an axis has no device.
        """
        if self.data != -1 and self.data < 1:
            raise ConfigError(f"mesh data must be an integer >= 1, or -1 for all devices, got {self.data}")
        for name in ("slices", "fsdp", "tensor"):
            if vars(self)[name] < 1:
                raise ConfigError(f"mesh {name} must be an integer >= 1, got {vars(self)[name]}")
        if self.whole_below < 0:
            raise ConfigError(f"mesh whole_below must be an integer >= 0, got {self.whole_below}")


def make(config: MeshConfig, devices: Sequence[jax.Device]) -> Mesh:
    """Builds the mesh, of the first devices if there are more than the config asks for.

    Raises:
      ConfigError: there are too few devices, the other axes do not divide their number, or a process has none of them.
    """
    return Mesh(arrange(devices, axis_sizes(config, len(devices))), AXES)


def make_abstract(config: MeshConfig, num_devices: int) -> AbstractMesh:
    """Builds the abstract mesh of a number of devices, to plan a layout without having them.

    Raises:
      ConfigError: as `make`.
    """
    return AbstractMesh(axis_sizes(config, num_devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def axis_sizes(config: MeshConfig, num_devices: int) -> tuple[int, int, int, int]:
    """Returns the number of devices on each axis.

    Raises:
      ConfigError: there are too few devices, or the other axes do not divide their number where `data` is -1.
    """
    others = {name: vars(config)[name] for name in ("slices", "fsdp", "tensor")}
    size = math.prod(others.values())
    num_data = num_devices // size if config.data == -1 else config.data
    if config.data == -1 and (num_data == 0 or num_devices % size):
        used = {name: value for name, value in others.items() if value > 1}
        named = " x ".join(f"{name} {value}" for name, value in used.items())
        nearest = _nearest_divisor(size, num_devices)
        raise ConfigError(
            f"mesh {named} does not divide the number of devices {num_devices}",
            do=f"choose {nearest}" if len(used) == 1 else f"choose values whose product is {nearest}",
        )
    if num_data * size > num_devices:
        named = " x ".join(f"{name} {value}" for name, value in {"data": num_data, **others}.items() if value > 1)
        raise ConfigError(f"mesh {named} needs {num_data * size} devices, there are {num_devices}")
    return config.slices, num_data, config.fsdp, config.tensor


def num_batch_shards(mesh: Mesh | AbstractMesh) -> int:
    """Returns the number of parts that a batch is split into."""
    return mesh.size // mesh.shape[TENSOR]


def check_batch_size(name: str, batch_size: int, mesh: Mesh | AbstractMesh) -> None:
    """Checks that every device gets the same number of examples.

    Args:
      name: field of the config, for the message.
      batch_size: number of examples over all devices.
      mesh: the devices.

    Raises:
      ConfigError: the size is not divisible by the number of devices that a batch is split over.
    """
    shards = num_batch_shards(mesh)
    if batch_size % shards:
        nearest = max(1, round(batch_size / shards)) * shards
        over = f"the number of devices {shards}" + ("" if shards == mesh.size else " that a batch is split over")
        raise ConfigError(f"{name} {batch_size} is not divisible by {over}", do=f"choose {nearest}")


def check_heads(num_heads: Sequence[int], mesh: Mesh | AbstractMesh) -> None:
    """Checks that heads can be split over the axis `tensor`.

    Args:
      num_heads: number of heads of every attention.
      mesh: the devices.

    Raises:
      ConfigError: the axis does not divide all numbers of heads, or there are none.
    """
    size, common = mesh.shape[TENSOR], math.gcd(*num_heads)
    if size == 1 or (num_heads and common % size == 0):
        return
    if not num_heads:
        message = f"mesh tensor is {size}, and the model has no attention of this package to split"
        raise ConfigError(message, do="set mesh.tensor=1")
    numbers = ", ".join(str(number) for number in dict.fromkeys(num_heads))
    raise ConfigError(
        f"mesh tensor {size} does not divide the number of heads {numbers}",
        do=f"set mesh.tensor={_nearest_divisor(size, common)}",
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose leading axis is the batch."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def tree_shardings(mesh: Mesh | AbstractMesh, tree: PyTree, *, whole_below: int = 0) -> PyTree:
    """Returns the sharding of every leaf of parameters or of a whole train state.

    Args:
      mesh: the devices.
      tree: arrays, or their shapes; only paths and shapes are read, so that moments and averages are sharded as their
        parameters.
      whole_below: number of elements below which an array is whole everywhere.
    """

    def sharding(keys: Sequence[jax.tree_util.KeyEntry], leaf: jax.ShapeDtypeStruct | jax.Array) -> NamedSharding:
        is_split = math.prod(leaf.shape) >= whole_below
        return NamedSharding(mesh, _leaf_spec(path_of(keys), leaf.shape, mesh) if is_split else PartitionSpec())

    return jax.tree_util.tree_map_with_path(sharding, tree)


def with_shardings(mesh: Mesh, tree: PyTree, *, whole_below: int = 0) -> PyTree:
    """Adds to every shape of a tree the sharding that it has on the mesh, as the target of a restore."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        tree,
        tree_shardings(mesh, tree, whole_below=whole_below),
    )


def shardings_of(tree: PyTree) -> PyTree:
    """Returns the sharding that every leaf of arrays, or of shapes with shardings, has."""
    return jax.tree.map(lambda leaf: leaf.sharding, tree)


def share_of_process(mesh: Mesh) -> BatchShare:
    """Returns the rows of every batch that this process reads and passes to `place_batch`.

    Raises:
      ConfigError: the processes have different numbers of devices.
    """
    return batch_share(mesh.devices, jax.process_index())


def place_batch(batch: PyTree, mesh: Mesh) -> PyTree:
    """Copies the rows of a batch on the host to the devices; with several processes each passes its own rows."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, leaf), batch)


def on_one_device(tree: PyTree, mesh: Mesh) -> PyTree:
    """Returns whole copies of the arrays of a mesh on one device, in each process on its own."""
    whole = jax.jit(lambda leaves: leaves, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)


def _leaf_spec(path: str, shape: tuple[int, ...], mesh: Mesh | AbstractMesh) -> PartitionSpec:
    """Splits the axis of the rule over `tensor`, and the largest other one over `fsdp`, where they are divisible.

    Of equal axes `fsdp` takes the last, as kernels are [in, out].
    """
    num_tensor, num_shards = mesh.shape[TENSOR], mesh.shape["fsdp"]
    spec: list[str | None] = [None] * len(shape)
    rule = first_match(path, TENSOR_RULES, None)
    if num_tensor > 1 and rule is not None and len(shape) >= -rule and shape[rule] % num_tensor == 0:
        spec[rule] = TENSOR
    axes = [axis for axis, size in enumerate(shape) if size and size % num_shards == 0 and spec[axis] is None]
    if num_shards > 1 and axes:
        spec[max(axes, key=lambda axis: (shape[axis], axis))] = "fsdp"
    while spec and spec[-1] is None:
        spec.pop()
    return PartitionSpec(*spec)


def _nearest_divisor(value: int, number: int) -> int:
    """Finds the divisor of a number that is closest to a value."""
    return min((divisor for divisor in range(1, number + 1) if number % divisor == 0), key=lambda d: abs(d - value))
