"""The order of devices in a mesh: which are neighbours on an axis, and which rows of a batch a process holds."""

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jax.experimental import mesh_utils

from gauss_vit.errors import ConfigError

_LOGGER = logging.getLogger(__name__)


@runtime_checkable
class Device(Protocol):
    """A `jax.Device`, or what stands for one. TPUs also have a `slice_index` and what `mesh_utils` reads."""

    @property
    def platform(self) -> str:
        """Name of the platform: "cpu", "gpu" or "tpu"."""
        ...

    @property
    def process_index(self) -> int:
        """Index of the process that the device belongs to."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchShare:
    """The rows of every batch that one process holds: one of equal, contiguous parts.

    Attributes:
      index: Index of the part.
      count: Number of parts; smaller than that of the processes where several hold the same rows.
    """

    index: int
    count: int


EVERYTHING = BatchShare(index=0, count=1)
"""The share of a process that reads every row."""


def arrange(devices: Sequence[Device], sizes: Sequence[int]) -> np.ndarray:
    """Arranges the first devices in an array of some sizes; the last axis is the one that communicates most.

    TPUs are arranged along their links, and slices on the outermost axis that they divide. Others, and TPUs where the
    rows of a batch would not be in contiguous parts by process, are taken in the order of their processes.

    Args:
      devices: At least as many as the array has places.
      sizes: Those of the mesh; a batch is split over all axes but the last.

    Raises:
      ConfigError: a process would have no device.
    """
    used = sorted(devices[: math.prod(sizes)], key=lambda device: device.process_index)
    idle = {device.process_index for device in devices} - {device.process_index for device in used}
    if idle:
        raise ConfigError(
            f"the mesh has {len(used)} of {len(devices)} devices, and none of process {min(idle)}",
            do="use all devices, with mesh.data=-1, or start fewer processes",
        )
    in_order = np.asarray(used, dtype=object).reshape(sizes)
    if devices[0].platform != "tpu" or len(used) < len(devices):
        return in_order
    along_links = _along_links(devices, sizes)
    return in_order if along_links is None or _parts(along_links) is None else along_links


def batch_share(arranged: np.ndarray, process_index: int) -> BatchShare:
    """Returns the share of a batch that a process holds.

    Raises:
      ConfigError: processes do not hold contiguous, equal parts.
    """
    parts = _parts(arranged)
    if parts is None:
        raise ConfigError(
            "the processes have different numbers of devices, or the mesh splits a batch unevenly among them",
            do="start each process with the same number of devices",
        )
    share = parts[process_index]
    return BatchShare(index=share.start // len(share), count=arranged[..., 0].size // len(share))


def _parts(arranged: np.ndarray) -> dict[int, range] | None:
    """Returns the shards of a batch that each process holds; None where they are not contiguous parts of one size."""
    held: dict[int, set[int]] = {}
    for shard, group in enumerate(arranged.reshape(-1, arranged.shape[-1])):
        for device in group:
            held.setdefault(device.process_index, set()).add(shard)
    size = len(next(iter(held.values())))
    parts = {process: range(min(shards), min(shards) + size) for process, shards in held.items()}
    is_even = all(set(part) == held[process] and part.start % size == 0 for process, part in parts.items())
    return parts if is_even else None


def _along_links(devices: Sequence[Device], sizes: Sequence[int]) -> np.ndarray | None:
    """Arranges TPUs by JAX's rules for their networks; None where these have no place for the slices."""
    num_slices = len({getattr(device, "slice_index", 0) for device in devices})
    outer = next((place for place in (0, 1) if sizes[place] % num_slices == 0), None)
    if outer is None:
        _LOGGER.warning(
            "neither mesh.slices nor mesh.data is a multiple of %d, the slices of devices: expect slow communication",
            num_slices,
        )
        return None
    between = [num_slices if place == outer else 1 for place in range(len(sizes))]
    within = [size // many for size, many in zip(sizes, between, strict=True)]
    if num_slices == 1:
        return mesh_utils.create_device_mesh(within, devices, allow_split_physical_axes=True)
    return mesh_utils.create_hybrid_device_mesh(within, between, devices, allow_split_physical_axes=True)
