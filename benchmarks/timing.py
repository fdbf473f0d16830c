"""Timing of functions and of sides that take turns; what machine and code were timed."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import jax
import numpy as np

Seconds = dict[str, float]
"""How long something took by two clocks: `wall`, and `cpu`, the seconds of the processor over all threads."""


PACKAGES = (
    "numpy",
    "optax",
    "pillow",
    "simplejpeg",
    "cykooz-resizer",
    "lmfit",
    "jax-cuda12-plugin",
    "nvidia-cudnn-cu12",
    "nvidia-cublas-cu12",
    "jax-cuda13-plugin",
    "nvidia-cudnn-cu13",
    "nvidia-cublas",
    "libtpu",
)
"""Whose version a record keeps, where they are installed, besides those of JAX, Flax and Python."""


def timed(run: Callable[[], object]) -> Seconds:
    """Times a run by the clock and by the processor."""
    start, start_cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - start, "cpu": time.process_time() - start_cpu}


def settled(run: Callable[[], object]) -> Seconds:
    """Times a run right after one that is not counted: memory that was idle while others had their turn is back."""
    run()
    return timed(run)


def interleaved(sides: Mapping[str, Callable[[], Seconds]], *, rounds: int) -> dict[str, list[Seconds]]:
    """Lets all sides run one after the other, round after round, every other round in reverse order.

    A machine that is busy for a while slows all sides of a round, and leaves the ratios within it.
    """
    found: dict[str, list[Seconds]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in reversed(sides) if turn % 2 else sides:
            found[name].append(sides[name]())
    return found


def of_clock(measured: Sequence[Seconds], clock: str) -> list[float]:
    """Takes the seconds of one clock."""
    return [one[clock] for one in measured]


def spread(seconds: Sequence[float]) -> dict[str, object]:
    """Gives the median, the extremes and all values of repeated timings."""
    return {
        "median_s": float(np.median(seconds)),
        "min_s": float(min(seconds)),
        "max_s": float(max(seconds)),
        "all_s": [round(value, 4) for value in seconds],
    }


def machine() -> dict[str, object]:
    """Says what the numbers were measured on, and with what."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return {
        "processor": names[0] if names else platform.processor(),
        "extensions": [name for name in ("avx2", "avx512f", "amx_bf16") if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
        "jax": jax.__version__,
        "jaxlib": metadata.version("jaxlib"),
        "flax": metadata.version("flax"),
        "python": platform.python_version(),
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """Finds the versions of those that are installed, as they call themselves."""
    wanted = set(PACKAGES)
    found = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in metadata.distributions()}
    return {name: found[name] for name in sorted(wanted & found.keys())}


def commit() -> str:
    """Names the commit of the code, with a plus where it has been changed since."""
    root = Path(__file__).parent.parent
    found = [
        subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()
        for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no", "gauss_vit"))
    ]
    return found[0] + "+" * bool(found[1])
