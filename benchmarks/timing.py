"""Medians, spreads, and tables of interleaved timings."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np


def spread(seconds: Sequence[float]) -> dict[str, object]:
    """Gives the median, the extremes and all values of repeated timings."""
    return {
        "median_s": float(np.median(seconds)),
        "min_s": float(min(seconds)),
        "max_s": float(max(seconds)),
        "all_s": [round(value, 4) for value in seconds],
    }


def ratio(peer: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Gives how many times faster we are, by pairs that ran one after the other: median and extremes."""
    ratios = np.array(peer) / np.array(ours)
    return {"median": float(np.median(ratios)), "min": float(ratios.min()), "max": float(ratios.max())}


def machine() -> dict[str, object]:
    """Says what the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def write(path: Path | None, record: Mapping[str, object]) -> None:
    """Writes the record as JSON, where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n")
