"""What all processes of a run must have the same, compared before anything is compiled."""

from collections.abc import Iterator, Mapping, Sequence

from gauss_vit.distributed import processes
from gauss_vit.distributed.processes import JsonLike
from gauss_vit.errors import MismatchError

_ABSENT = "absent"
_SHOWN = 5


def require_same(facts: Mapping[str, JsonLike], *, limit: float) -> None:
    """Compares facts about this process with those of all others.

    Args:
      facts: Values by name; objects within them are compared key by key.
      limit: Seconds to wait for the others.

    Raises:
      MismatchError: they differ; the message names a process and the keys.
      PeerError: some did not come in time.
    """
    difference = first_difference(processes.gather("what must be the same", dict(facts), limit=limit))
    if difference:
        raise MismatchError(difference, do="start the same command, with the same code and packages, on every host")


def first_difference(told: Sequence[JsonLike]) -> str:
    """Describes how the first process that differs from process 0 does; empty where all are the same.

    >>> first_difference([{"code": "3f2a", "config": {"seed": 0}}, {"code": "3f2a", "config": {"seed": 1}}])
    'process 1 differs from process 0: config.seed is 1 instead of 0'
    """
    first, *others = (dict(_flat(facts)) for facts in told)
    for index, facts in enumerate(others, start=1):
        keys = [key for key in {**first, **facts} if first.get(key, _ABSENT) != facts.get(key, _ABSENT)]
        if keys:
            shown = [f"{key} is {facts.get(key, _ABSENT)} instead of {first.get(key, _ABSENT)}" for key in keys]
            more = [f"{len(keys) - _SHOWN} more"] if len(keys) > _SHOWN else []
            return f"process {index} differs from process 0: {', '.join([*shown[:_SHOWN], *more])}"
    return ""


def _flat(value: JsonLike, path: str = "") -> Iterator[tuple[str, JsonLike]]:
    """Yields the values of nested objects by their dotted paths."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _flat(inner, f"{path}.{key}" if path else key)
