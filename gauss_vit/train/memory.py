"""The memory that a process and its devices have, have used at most, or lack."""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from gauss_vit.errors import is_out_of_memory, memory_error

_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "training": "set model.compute.remat=full or, without batch normalisation, training.accumulate"
        " (which changes the loss of a detector)",
        "evaluation": "lower training.eval_batch_size",
        "observation": "lower training.observe_images, or set it to 0",
    }
)

_UNIT = 1 if sys.platform == "darwin" else 1024


@runtime_checkable
class CountsMemory(Protocol):
    """A device; a `jax.Device` is one."""

    def memory_stats(self) -> Mapping[str, int] | None:
        """Returns what its allocator counts, or None."""
        ...


def peak_device_bytes(devices: Sequence[CountsMemory]) -> int | None:
    """Returns the most bytes that one of some devices has held; None where their platform counts none.

    Args:
      devices: Devices of this process.
    """
    return max(_statistics(devices, "peak_bytes_in_use"), default=None)


def peak_host_bytes() -> int:
    """Returns the most bytes of physical memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def capacity(devices: Sequence[CountsMemory]) -> int:
    """Returns the bytes that the smallest of some devices has; on CPUs, those of the host for this process.

    Args:
      devices: Devices of this process.
    """
    limits = _statistics(devices, "bytes_limit")
    if limits:
        return min(limits)
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return physical if most == resource.RLIM_INFINITY else min(physical, most)


@contextlib.contextmanager
def memory_faults(work: str) -> Iterator[None]:
    """Raises an OutOfMemoryError where a block fails for lack of memory.

    Args:
      work: "training", "evaluation" or "observation".

    Raises:
      OutOfMemoryError: a device or the host has too little memory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise memory_error(error, work, do=_REMEDIES[work], work=work) from error


def _statistics(devices: Sequence[CountsMemory], name: str) -> list[int]:
    found = [(device.memory_stats() or {}).get(name) for device in devices]
    return [value for value in found if value is not None]
