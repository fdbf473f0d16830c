"""The memory that a process and its devices have used at most."""

import resource
import sys
from collections.abc import Sequence

import jax

_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_device_bytes(devices: Sequence[jax.Device]) -> int | None:
    """Returns the most bytes that one of some devices has held; None where their platform counts none.

    Args:
      devices: Devices of this process.
    """
    return max(_statistics(devices, "peak_bytes_in_use"), default=None)


def peak_host_bytes() -> int:
    """Returns the most bytes of physical memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _statistics(devices: Sequence[jax.Device], name: str) -> list[int]:
    found = [(device.memory_stats() or {}).get(name) for device in devices]
    return [value for value in found if value is not None]
