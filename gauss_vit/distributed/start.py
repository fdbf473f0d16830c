"""The start of one run on several processes: who they are, where they meet, and the platform that is asked for."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

import jax

# JAX offers its detection of clusters only as part of `initialize`, which opens sockets for a single process as well.
from jax._src import clusters

from gauss_vit.distributed import ending, processes, roll_call
from gauss_vit.errors import ConfigError, PeerError

AUTO, OFF = "auto", "off"
ANY = "any"
_BIND_VARIABLE = "JAX_COORDINATOR_BIND_ADDRESS"
# JAX finds after half of it at the earliest that a process is gone; `peers` names it before.
_HEARTBEAT_SECONDS = 80
_EXTRAS = MappingProxyType({"gpu": "cuda13"})
_JOINING = "joining"
# Process 0 may have much to write at the end; one that is gone is found sooner.
_LEAVE_SECONDS = 3600
_GOOD = (0, 143)
_STAY_AFTER_ERROR_SECONDS = 10
_LEAVE_AFTER_ERROR_SECONDS = 3


@dataclass(frozen=True, kw_only=True)
class Peers:
    """The processes of a run.

    Attributes:
      host: Host of the coordinator, which is process 0.
      port: Port that it listens on.
      count: Number of processes.
      index: Number of this process, from 0.
      local_devices: Devices that this process may use; None for all of its host.
    """

    host: str
    port: int
    count: int
    index: int
    local_devices: tuple[int, ...] | None = None

    @property
    def address(self) -> str:
        """Host and port of the coordinator."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def start(choice: str, *, platform: str = ANY, limit: float = 300.0) -> tuple[int, int]:
    """Joins the other processes of the run, if there are any, and makes sure of the platform.

    It must come before devices are counted. Without other processes no socket is opened.

    Args:
      choice: "auto": as JAX detects them on TPU VMs, in GKE, Slurm and Open MPI; "off": none;
        "COORDINATOR,N,I": process I of N, with process 0 at the address COORDINATOR, such as `10.0.0.1:8476`.
      platform: "any", or the platform that is asked for: "cpu", "gpu" or "tpu".
      limit: Seconds to wait for the others.

    Returns:
      The number of this process, from 0, and the number of processes.

    Raises:
      ConfigError: the choice is wrong, or code PLATFORM: there is no such device.
      PeerError: other processes did not come in time.
    """
    if platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
    peers = find(choice, limit=limit)
    if peers is not None and peers.count > 1:
        _join(peers, limit=limit)
    if platform != ANY:
        _require(platform)
    return processes.index(), processes.count()


def find(choice: str, *, limit: float) -> Peers | None:
    """Reads the choice, or asks JAX; None for a single process.

    Raises:
      ConfigError: it is none of "auto", "off" and COORDINATOR,N,I, or what JAX detects cannot be used.
    """
    if choice == OFF:
        return None
    return _detected(limit) if choice == AUTO else parse(choice)


def parse(choice: str) -> Peers:
    """Reads COORDINATOR,N,I.

    >>> parse("10.0.0.1:8476,4,1")
    Peers(host='10.0.0.1', port=8476, count=4, index=1, local_devices=None)

    Raises:
      ConfigError: it is something else.
    """
    address, *numbers = choice.split(",")
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = all(text.isascii() and text.isdecimal() for text in (port, *numbers))
    if not (host and is_number and len(numbers) == 2 and 0 < int(port) < 2**16 and int(numbers[1]) < int(numbers[0])):
        raise ConfigError(
            f"--distributed must be auto, off or COORDINATOR,N,I with I from 0 to N - 1, got {choice!r}",
            do="write for example --distributed=10.0.0.1:8476,2,0 on the first of two hosts",
        )
    return Peers(host=host, port=int(port), count=int(numbers[0]), index=int(numbers[1]))


def leave(status: int, *, at_last: Callable[[], None] = lambda: None) -> None:
    """Leaves the other processes at the end of the program, once all are at theirs, or without them after a while.

    A process that ends without them does so at once: JAX would wait for the others and then dump a C++ stack trace.

    Args:
      status: Exit status of this process.
      at_last: Function that ends the watch over the others: once they are at their ends, or here at once if this
        process has failed.
    """
    if processes.count() == 1 or status not in _GOOD:
        at_last()
    if processes.count() == 1:
        return
    if any(thread.name == _JOINING for thread in threading.enumerate()):
        # Not connected yet: whatever it is asked, JAX's client would end the process with a stack trace.
        _end(status)
    try:
        with _own_status(status):
            processes.barrier("the end", limit=_limit(status))
        at_last()
        jax.distributed.shutdown()
    except PeerError as error:
        if status in _GOOD:
            sys.stderr.write(f"gauss_vit: {error.message}\n")
        _end(status or error.exit_status)


def _own_status(status: int) -> contextlib.AbstractContextManager[None]:
    """Lets a process that has failed keep its status where JAX aborts it, as the coordinator leaves as well."""
    return contextlib.nullcontext() if status in _GOOD else ending.on_abort(lambda: os._exit(status))


def _limit(status: int) -> float:
    """Returns how long a process waits for the others at its end, in seconds.

    What it has told is kept by process 0, which stays until the others have heard it, or why it has failed itself.
    """
    if status in _GOOD:
        return _LEAVE_SECONDS
    stays = processes.is_first() and status != PeerError.exit_status
    return _STAY_AFTER_ERROR_SECONDS if stays else _LEAVE_AFTER_ERROR_SECONDS


def _end(status: int) -> NoReturn:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _detected(limit: float) -> Peers | None:
    """Returns what JAX detects; None for a single process.

    Raises:
      ConfigError: the environment is that of a cluster, and what it says cannot be used.
    """
    try:
        address, count, index, devices = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            None, None, None, None, None, int(limit)
        )
    # Whatever the environment of a cluster lacks: each kind of cluster has errors of its own.
    except Exception as error:
        raise ConfigError(
            f"this looks like a cluster, but its processes cannot be told: {type(error).__name__}: {error}",
            do="give --distributed=COORDINATOR,N,I, or --distributed=off for a single process",
            code="DISTRIBUTED",
        ) from error
    if address is None or count is None or index is None or count == 1:
        return None
    host, _, port = address.rpartition(":")
    local = None if devices is None else tuple(devices)
    return Peers(
        host=host.removeprefix("[").removesuffix("]"), port=int(port), count=count, index=index, local_devices=local
    )


def _join(peers: Peers, *, limit: float) -> None:
    """Connects the processes.

    Raises:
      ConfigError: the numbers that they were started with do not fit, or devices were counted already.
      PeerError: some did not come in time.
    """
    roll_call.wait_for_host(peers.host, limit=limit)
    if peers.index == 0:
        roll_call.call(peers.host, peers.port, num_processes=peers.count, limit=limit)
    else:
        roll_call.answer(peers.host, peers.port, index=peers.index, num_processes=peers.count, limit=limit)
    try:
        _within(limit, lambda: _initialize(peers, limit=limit))
    except TimeoutError:
        raise PeerError(f"process {peers.index} was not connected within {limit:.0f} s", do="start all again") from None


def _initialize(peers: Peers, *, limit: float) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator_address=peers.address,
        num_processes=peers.count,
        process_id=peers.index,
        local_device_ids=peers.local_devices,
        cluster_detection_method="deactivate",
        # Later than the limit here: JAX would end the process with a stack trace.
        initialization_timeout=int(limit) + _HEARTBEAT_SECONDS,
        heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        # By default JAX listens on all addresses of the host.
        coordinator_bind_address=os.environ.get(_BIND_VARIABLE, peers.address),
    )
    # Counting devices waits for all processes: where the first alone computes, the others would never count theirs.
    jax.devices()


def _within(limit: float, call: Callable[[], None]) -> None:
    """Calls a function that may never return.

    Raises:
      TimeoutError: it does not within the limit, in seconds.
      ConfigError: devices were counted already.
    """
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name=_JOINING, daemon=True).start()
    try:
        outcome.result(timeout=limit)
    except RuntimeError as error:
        raise ConfigError(f"the processes cannot be connected: {error}", code="DISTRIBUTED") from error


def _require(platform: str) -> None:
    """Raises a ConfigError, code PLATFORM, if there is no device of a platform."""
    try:
        found = jax.default_backend()
    except RuntimeError as error:
        found, reason = "none", str(error).splitlines()[0]
    else:
        reason = ""
    if found != platform:
        raise ConfigError(
            f"platform is {platform}, and the devices that JAX finds on {socket.gethostname()} are {found}"
            f"{f' ({reason})' if reason else ''}",
            do=f"install JAX for it (pip install 'jax[{_EXTRAS.get(platform, platform)}]') and look at its messages,"
            " or set --config.platform=any",
            code="PLATFORM",
        )
