"""The check that all processes of a run have the same config, code, packages, devices and data, before it compiles."""

import hashlib
from pathlib import Path

import jax

from gauss_vit.assembly.feeds import Sources
from gauss_vit.config.schema import JsonValue
from gauss_vit.distributed import processes
from gauss_vit.distributed.agreement import require_same
from gauss_vit.experiment import Experiment
from gauss_vit.train.run import Feed
from gauss_vit.train.workdir.environment import describe_environment

_COMPARED = ("python", "packages", "platform", "device_kind")


def require_same_start(experiment: Experiment) -> None:
    """Compares what processes are started with; a single one has nothing to compare.

    Raises:
      MismatchError: they differ; the message names a process and the keys.
      PeerError: some did not come in time.
    """
    if processes.count() == 1:
        return
    require_same(facts(experiment), limit=experiment.limits.start)


def require_same_data(experiment: Experiment, sources: Sources, feed: Feed) -> None:
    """Compares what processes find where their data are.

    Raises:
      MismatchError: they differ; the message names a process and the keys.
      PeerError: some did not come in time.
    """
    if processes.count() == 1:
        return
    found = {
        name: {"images": len(source), "classes": digest("\0".join(source.class_names).encode())}
        for name, source in {"training": sources.train, **sources.evaluation}.items()
    }
    require_same({"data": {**found, "first batch": feed.digest(0)}}, limit=experiment.limits.restore)


def facts(experiment: Experiment) -> dict[str, JsonValue]:
    """Lists what all processes must have the same: config, code, Python, packages, platform and kind of device."""
    environment = describe_environment(jax.local_devices())
    known = {key: environment[key] for key in _COMPARED}
    return {"config": experiment.to_json(), "code": _code(Path(__file__).parents[1]), **known}


def digest(content: bytes) -> str:
    """Hashes bytes: 12 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:12]


def _code(package: Path) -> str:
    """Hashes the source files of a package."""
    files = ((str(path.relative_to(package)).encode(), path.read_bytes()) for path in sorted(package.rglob("*.py")))
    return digest(b"".join(b"%s\0%d\0%s" % (name, len(content), content) for name, content in files))
