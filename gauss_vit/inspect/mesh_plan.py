"""The mesh that `show` plans for, as it is written on the command line, and what is split on it."""

import dataclasses
import re
from collections.abc import Sequence
from difflib import get_close_matches

import jax
from jax.sharding import AbstractMesh

from gauss_vit.batches import BATCH_AXES
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.ops.placement import AXES
from gauss_vit.quantities import counted
from gauss_vit.train import mesh
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.state import abstract_model


def planned_mesh(config: MeshConfig, text: str | None, *, num_present: int) -> AbstractMesh:
    """Builds the mesh of a plan.

    Args:
      config: Axes of the experiment, for those that are not named.
      text: Number of devices, as in "8", or sizes of axes, as in "data=64,fsdp=4"; None for the devices present.
      num_present: Number of devices present.

    Raises:
      ConfigError: the text is neither, or the axes do not fit the number of devices.

    >>> planned_mesh(MeshConfig(), "data=64,fsdp=4", num_present=1).size
    256
    """
    if text is None:
        return mesh.make_abstract(config, num_present)
    if "=" not in text and text not in AXES:
        return mesh.make_abstract(config, _positive("the number of devices", text, example="8"))
    sizes = dict(_size(part) for part in text.split(","))
    planned = dataclasses.replace(config, **sizes)
    if planned.data == -1:
        raise ConfigError(f"--mesh={text} does not say how many devices there are", do=f"add data, as in data=8,{text}")
    return mesh.make_abstract(planned, planned.slices * planned.data * planned.fsdp * planned.tensor)


def check_fits(shown: Experiment, devices: AbstractMesh) -> None:
    """Checks what training checks before it begins: batches and heads divide among the devices.

    Raises:
      ConfigError: they do not.
    """
    mesh.check_batch_size("training.batch_size", shown.training.batch_size, devices)
    mesh.check_heads(abstract_model(shown.network.make).num_heads, devices)


def mesh_lines(shown: Experiment, devices: AbstractMesh) -> list[str]:
    """Returns lines with the axes of the mesh, and what of a batch and of the parameters each device holds."""
    shards = mesh.num_batch_shards(devices)
    params = abstract_model(shown.network.make).params
    shardings = mesh.tree_shardings(devices, params, whole_below=shown.mesh.whole_below)
    pairs = list(zip(jax.tree.leaves(params), jax.tree.leaves(shardings), strict=True))
    split = {axis: [leaf.size for leaf, sharding in pairs if axis in sharding.spec] for axis in ("fsdp", "tensor")}
    whole = [leaf.size for leaf, sharding in pairs if sharding.is_fully_replicated]
    total = sum(leaf.size for leaf, _ in pairs)
    return [
        f"mesh of {devices.size} devices: {', '.join(f'{axis}={devices.shape[axis]}' for axis in AXES)}",
        f"  batch of {shown.training.batch_size}: split over {' x '.join(BATCH_AXES)}, "
        f"{counted(shown.training.batch_size // shards, 'image')} on each device",
        *(f"  {_arrays(sizes, total)} split over {axis}" for axis, sizes in split.items() if devices.shape[axis] > 1),
        f"  {_arrays(whole, total)} whole on every device",
    ]


def _arrays(sizes: Sequence[int], total: int) -> str:
    return f"{len(sizes)} arrays of parameters ({100 * sum(sizes) / total:.1f} %)"


def _size(part: str) -> tuple[str, int]:
    """Reads the size of one axis, such as "fsdp=4"."""
    name, _, size = part.partition("=")
    if name not in AXES:
        close = get_close_matches(name, AXES, n=1)
        raise ConfigError(
            f"--mesh has no axis {name!r}",
            do=f"write {close[0]}" if close else f"write a number of devices, or sizes of {', '.join(AXES)}",
        )
    return name, _positive(name, size, example=f"{name}=4")


def _positive(name: str, text: str, *, example: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise ConfigError(f"--mesh: {name} must be an integer >= 1, got {text!r}", do=f"write {example}, for example")
    return int(text)
