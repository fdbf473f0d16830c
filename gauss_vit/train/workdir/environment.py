"""The environment of a run: versions, revision and devices, stored in env.json."""

import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import jax

from gauss_vit.config.schema import JsonValue

_THIS = "gauss_vit"
_COMPUTING = (_THIS, "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorstore")
_READING = ("tensorflow-datasets", "array-record", "numpy", "pillow")


def describe_environment(devices: Sequence[jax.Device]) -> dict[str, JsonValue]:
    """Describes the process as JSON: no host name, user or environment variable, which may be secret."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in (*_COMPUTING, *_READING)},
        "revision": _revision(Path(__file__)),
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "num_devices": len(devices),
        "num_processes": jax.process_count(),
    }


def _version(package: str) -> str | None:
    """Returns the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _revision(source: Path) -> str | None:
    """Returns what git describes the source as, with "+changes" if files differ; outside of a repository the version.

    A repository that merely lies around an installed package does not count: it does not track the file.
    """
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        version = _version(_THIS)
        return None if version is None else f"v{version}"
    return _git(source.parent, "describe", "--always", "--tags", "--long", "--abbrev=40", "--dirty=+changes")


def _git(folder: Path, *arguments: str) -> str | None:
    """Runs a git command that only reads; None if it cannot."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None
