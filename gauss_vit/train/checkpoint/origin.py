"""What wrote a checkpoint: versions, revision, devices, and the resumes that changed the config on the way."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from gauss_vit.config.schema import JsonValue


@dataclasses.dataclass(frozen=True, kw_only=True)
class Override:
    """A resume with a config, or with data, that change what is learned.

    Attributes:
      step: number of updates made before it.
      changes: every difference, such as "optimizer.learning_rate: 0.001 -> 0.0001".
    """

    step: int
    changes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What wrote a checkpoint; every part may be unknown.

    Attributes:
      environment: versions, revision and devices of the process, as in env.json.
      mesh: number of devices on each axis of the mesh.
      overrides: resumes of the run that changed what is learned, in their order.
    """

    environment: Mapping[str, JsonValue]
    mesh: Mapping[str, int]
    overrides: tuple[Override, ...]


UNKNOWN = Origin(environment={}, mesh={}, overrides=())
"""What a record says that was written before these things were stored."""


def from_json(content: Mapping[str, Any] | None) -> Origin:
    """Builds the value from `dataclasses.asdict` in JSON; None is unknown."""
    if content is None:
        return UNKNOWN
    return Origin(
        environment=content["environment"],
        mesh=content["mesh"],
        overrides=tuple(
            Override(step=override["step"], changes=tuple(override["changes"])) for override in content["overrides"]
        ),
    )


def changed_versions(saved: Origin, current: Origin) -> list[str]:
    """Lists the versions on which the bits of a run depend and that differ; those that are unknown are left out.

    >>> old, new = ({"packages": {"jax": version}, "revision": "v1"} for version in ("0.10.1", "0.10.2"))
    >>> changed_versions(*(Origin(environment=each, mesh={}, overrides=()) for each in (old, new)))
    ['jax 0.10.1 -> 0.10.2']
    """
    old, new = _versions(saved), _versions(current)
    return [f"{name} {old[name]} -> {new[name]}" for name in old if name in new and old[name] != new[name]]


def resharding(saved: Origin, current: Origin) -> str:
    """Says that arrays go from one mesh to another; empty if they do not, or if the first is unknown.

    >>> one, eight = (Origin(environment={}, mesh={"data": data, "fsdp": 1}, overrides=()) for data in (1, 8))
    >>> resharding(eight, one)
    'restored from 8 devices (data 8) onto 1 device'
    """
    old, new = _layout(saved.mesh), _layout(current.mesh)
    return "" if not saved.mesh or old == new else f"restored from {old} onto {new}"


def _versions(origin: Origin) -> dict[str, str]:
    """Maps the names of what computes to their versions."""
    packages = origin.environment.get("packages")
    versions = dict(packages) if isinstance(packages, Mapping) else {}
    named = {"revision": origin.environment.get("revision"), **versions}
    return {name: str(version) for name, version in named.items() if version is not None}


def _layout(mesh: Mapping[str, int]) -> str:
    axes = ", ".join(f"{name} {size}" for name, size in mesh.items() if size > 1)
    count = math.prod(mesh.values())
    return f"{count} devices ({axes})" if axes else "1 device"
