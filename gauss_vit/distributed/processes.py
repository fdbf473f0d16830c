"""What the processes of a run tell each other, over JAX's coordination service and not over their devices.

It is there where devices are not: before any is counted, and while another process is stuck in a computation. With one
process everything here is trivial, and nothing is opened.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import jax

# JAX keeps the client of its coordination service to itself; orbax takes it from here as well.
from jax._src import distributed
from jax.experimental import multihost_utils

from gauss_vit import errors
from gauss_vit.distributed.roll_call import named
from gauss_vit.errors import PeerError, UserError

JsonLike = None | bool | int | float | str | list[Any] | dict[str, Any]
Value = TypeVar("Value", bound=JsonLike)
Result = TypeVar("Result")

FAILED = "PEER-FAILED"
_WATCHED_SECONDS = 7 * 24 * 3600.0
"""Limit of a wait that is watched: the watchdog of a run, or whoever sees that a process is gone, ends it before."""

_PREEMPTION = "RECEIVED_PREEMPTION_NOTICE"
_STOP = "stop"
_PREFIX = "gauss_vit"


@runtime_checkable
class _Service(Protocol):
    """What is used of JAX's client of the coordination service."""

    def key_value_increment(self, key: str, increment: int) -> int: ...

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None: ...

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]: ...

    def key_value_delete(self, key: str) -> None: ...

    def wait_at_barrier(self, barrier_id: str, timeout_in_ms: int) -> None: ...


def index() -> int:
    """Returns the number of this process, from 0."""
    return distributed.global_state.process_id


def count() -> int:
    """Returns the number of processes of the run."""
    return distributed.global_state.num_processes


def is_first() -> bool:
    """Returns whether this is process 0, which alone writes what a run writes once."""
    return index() == 0


def tell(key: str, value: JsonLike, *, once: bool = False) -> bool:
    """Tells the other processes a value, in place of an earlier one, without waiting for them.

    Args:
      key: What it is, such as "phase/1"; one that all processes use where the first value counts.
      value: The value.
      once: Whether an earlier value stays.

    Returns:
      False where an earlier value stays, or nobody listens any more.
    """
    client = cast(_Service | None, distributed.global_state.client)
    if client is None:
        return False
    try:
        client.key_value_set(f"{_PREFIX}/told/{key}", json.dumps(value), not once)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def told(folder: str) -> dict[str, JsonLike] | None:
    """Returns the values that were told so far, by the last part of their keys; None if nobody answers."""
    client = cast(_Service | None, distributed.global_state.client)
    if client is None:
        return None
    try:
        values = client.key_value_dir_get(f"{_PREFIX}/told/{folder}/")
    except jax.errors.JaxRuntimeError:
        return None
    return {key.rpartition("/")[2]: json.loads(value) for key, value in values}


def ask_to_stop(reason: str) -> None:
    """Asks all processes to stop at the same turn (`is_stop_agreed`); without others nothing happens."""
    if count() == 1:
        return
    tell(f"{_STOP}/first", {"process": index(), "reason": reason}, once=True)
    client = cast(_Service, distributed.global_state.client)
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        # The key under which JAX itself announces a SIGTERM; it is asked already where it exists.
        client.key_value_set(_PREEMPTION, datetime.now(UTC).isoformat(timespec="seconds"))


def is_stop_agreed(turn: int) -> bool:
    """Returns whether all processes stop at a turn, once one of them has asked for it.

    All must call it for every turn, counted from 1, up to the one at which they stop; JAX agrees on the turn.
    """
    return multihost_utils.reached_preemption_sync_point(turn)


def reason_to_stop() -> str:
    """Returns why all processes stop, with the process that was told."""
    asked = cast(Mapping[str, Any], (told(_STOP) or {}).get("first"))
    if not asked:
        return "SIGTERM"
    return asked["reason"] if asked["process"] == index() else f"{asked['reason']} of process {asked['process']}"


def gather(name: str, value: Value, *, limit: float = _WATCHED_SECONDS) -> list[Value]:
    """Returns the values of all processes, in their order. All must call it, with the same names in the same order.

    Args:
      name: What it is about, for messages; a name may be used more than once.
      value: What this process tells the others.
      limit: Seconds to wait.

    Raises:
      PeerError: some did not come in time.
    """
    if count() == 1:
        return [value]
    client, start = cast(_Service, distributed.global_state.client), time.monotonic()
    # The service counts the turns of a name: there is nothing to remember here, and no key is used twice.
    turn = client.key_value_increment(f"{_PREFIX}/turns/{name}/{index()}", 1)
    folder = f"{_PREFIX}/values/{name}/{turn}"
    client.key_value_set(f"{folder}/{index()}", json.dumps(value))
    try:
        client.wait_at_barrier(folder, int(limit * 1000))
    except jax.errors.JaxRuntimeError as error:
        missing = sorted(set(range(count())) - _told(client, folder).keys())
        raise _missing(name, missing, seconds=time.monotonic() - start) from error
    told = _told(client, folder)
    # Whoever is here has read the values of the turn before.
    client.key_value_delete(f"{_PREFIX}/values/{name}/{turn - 1}/{index()}")
    return [json.loads(told[process]) for process in range(count())]


def barrier(name: str, *, limit: float) -> None:
    """Waits until all processes are here.

    Raises:
      PeerError: some did not come within the limit, in seconds.
    """
    gather(name, None, limit=limit)


def on_first(name: str, act: Callable[[], Value], *, limit: float = _WATCHED_SECONDS) -> Value:
    """Lets process 0 act, and returns in all processes what it returned.

    Args:
      name: What it does, for messages.
      act: Function that only process 0 calls.
      limit: Seconds that the others wait.

    Raises:
      UserError: that of process 0, in all.
      PeerError: process 0 did not come in time, or has failed by a bug.
    """
    if not is_first():
        return cast(Value, _returned(gather(name, cast(JsonLike, None), limit=limit)[0]))
    with _told_to_others(name, limit=limit):
        value = act()
    gather(name, {"value": value}, limit=limit)
    return value


def together(name: str, act: Callable[[], Result], *, limit: float) -> Result:
    """Lets every process act, and returns what the function returned here, once none of them has failed.

    Args:
      name: What they do, for messages.
      act: Function that waits for no other process.
      limit: Seconds to wait for the others.

    Raises:
      UserError: that of the first process that has failed, in all.
      PeerError: some did not come in time, or one has failed by a bug.
    """
    with _told_to_others(name, limit=limit):
        value = act()
    for process, outcome in enumerate(gather(name, {"value": None}, limit=limit)):
        try:
            _returned(outcome)
        except UserError as error:
            error.message = f"process {process}: {error.message}"
            raise
    return value


@contextmanager
def _told_to_others(name: str, *, limit: float) -> Iterator[None]:
    """Tells the others why a block has failed, if it has."""
    try:
        yield
    except BaseException as error:
        gather(name, described(error), limit=limit)
        raise


def described(error: BaseException) -> dict[str, JsonLike]:
    """Describes an error, also one of this program, for the other processes."""
    if not isinstance(error, UserError):
        what = f"failed: {type(error).__name__}: {error}"
        return {"kind": "PeerError", "message": what, "do": f"look at the log of process {index()}", "code": FAILED}
    kind = next(kind for kind in type(error).mro() if vars(errors).get(kind.__name__) is kind)
    return {"kind": kind.__name__, "message": error.message, "do": error.do, "code": error.code}


def rebuilt(told: Mapping[str, Any]) -> UserError:
    """Builds the error that another process has described."""
    return vars(errors)[told["kind"]](told["message"], do=told["do"], code=told["code"])


def _returned(outcome: JsonLike) -> JsonLike:
    """Returns the value of an outcome, or raises its error."""
    told = cast(Mapping[str, Any], outcome)
    if "kind" not in told:
        return told["value"]
    raise rebuilt(told)


def _told(client: _Service, folder: str) -> dict[int, str]:
    """Returns what was told in a turn, by process."""
    return {int(key.rpartition("/")[2]): text for key, text in client.key_value_dir_get(f"{folder}/")}


def _missing(name: str, missing: list[int], *, seconds: float) -> PeerError:
    who = named(missing) if missing else "the coordinator, process 0"
    return PeerError(
        f"process {index()} waited {seconds:.0f} s for {who} at {name}",
        do="look at their logs; the same command on all hosts resumes",
    )
