"""The roll call: before JAX connects the processes of a run, each says that it is there, and process 0 answers all.

JAX ends a process with a C++ stack trace when another one does not come, and names none. Here those that are missing,
or that were started with other numbers, are known in every process that came, within a limit.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Collection

from gauss_vit.errors import ConfigError, PeerError

_LOGGER = logging.getLogger(__name__)
_RETRY_SECONDS = 0.2
_ANSWER_SECONDS = 5.0
_MAX_BYTES = 4096
_SHOWN, _TOLD = 10, 500


def wait_for_host(host: str, *, limit: float) -> None:
    """Waits until a host's name resolves, as names of pods do some time after their start.

    Raises:
      PeerError: it does not within the limit, in seconds.
    """
    deadline, is_said = time.monotonic() + limit, False
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except socket.gaierror as error:
            reason = error.strerror
        if not is_said:
            _LOGGER.warning("the coordinator's host %s has no address yet: %s", host, reason)
            is_said = True
        if time.monotonic() > deadline:
            raise PeerError(
                f"the coordinator's host {host} has no address after {limit:.0f} s: {reason}",
                do="correct its name in --distributed, or make it known to this machine (DNS, /etc/hosts)",
            )
        time.sleep(_RETRY_SECONDS)


def call(host: str, port: int, *, num_processes: int, limit: float) -> None:
    """Waits in process 0 until every other process has come, and tells them.

    Raises:
      ConfigError: it cannot listen on the address, or a process was started with other numbers.
      PeerError: some did not come within the limit, in seconds.
    """
    came: dict[int, socket.socket] = {}
    with _listening(host, port, num_processes) as server, contextlib.ExitStack() as connections:
        deadline, fault = time.monotonic() + limit, ""
        while len(came) < num_processes - 1 and not fault and (left := deadline - time.monotonic()) > 0:
            server.settimeout(left)
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                connection = connections.enter_context(server.accept()[0])
                fault = _enter(came, connection, num_processes)
        missing = sorted(set(range(1, num_processes)) - came.keys())
        answer = {"fault": fault, "missing": missing[:_TOLD], "limit": limit}
        for connection in came.values():
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode())
    _check(fault, missing, limit=limit)


def answer(host: str, port: int, *, index: int, num_processes: int, limit: float) -> None:
    """Tells process 0 that this process is there, and waits until it has heard of all.

    Raises:
      ConfigError: processes were started with different numbers.
      PeerError: process 0 does not answer within the limit, in seconds, or other processes did not come.
    """
    deadline = time.monotonic() + limit
    reply = b""
    reason = "no answer"
    while not reply and time.monotonic() < deadline:
        try:
            with socket.create_connection((host, port), timeout=_ANSWER_SECONDS) as connection:
                connection.sendall(json.dumps({"index": index, "count": num_processes}).encode() + b"\n")
                connection.settimeout(max(deadline - time.monotonic(), 0) + _ANSWER_SECONDS)
                reply = connection.makefile("rb").read(_MAX_BYTES)
        except OSError as error:
            reason = error.strerror or str(error)
        time.sleep(0 if reply else _RETRY_SECONDS)
    if not reply:
        raise PeerError(
            f"process {index} waited {limit:.0f} s for process 0, the coordinator, at {host}:{port}: {reason}",
            do="start process 0 on that host, and open the port to the other hosts",
        )
    try:
        said = json.loads(reply)
        fault, missing, waited = str(said["fault"]), list(said["missing"]), float(said["limit"])
    except (ValueError, TypeError, KeyError) as error:
        raise PeerError(
            f"process {index} was answered by another program at {host}:{port}", do="choose another port"
        ) from error
    _check(fault, missing, limit=waited)


def _listening(host: str, port: int, num_processes: int) -> socket.socket:
    """Opens a socket on one address.

    Raises:
      ConfigError: it is not of this machine, or in use.
    """
    try:
        return socket.create_server((host, port), backlog=num_processes)
    except OSError as error:
        raise ConfigError(
            f"process 0, the coordinator, cannot listen on {host}:{port}: {error.strerror or error}",
            do="start process 0 on that host, or choose another port",
            code="DISTRIBUTED",
        ) from error


def _enter(came: dict[int, socket.socket], connection: socket.socket, num_processes: int) -> str:
    """Enters a process that has come, and returns what is wrong with its numbers; whoever else connects is ignored."""
    connection.settimeout(_ANSWER_SECONDS)
    said = json.loads(connection.makefile("rb").readline(_MAX_BYTES))
    index, count = int(said["index"]), int(said["count"])
    is_double = index in came or not 0 < index < num_processes
    came[-1 if is_double else index] = connection
    if count != num_processes:
        return f"process {index} was started as one of {count}, process 0 as one of {num_processes}"
    return f"two processes were started as process {index}" if is_double else ""


def _check(fault: str, missing: Collection[int], *, limit: float) -> None:
    if fault:
        raise ConfigError(fault, do="give every process the same number N and its own I from 0", code="DISTRIBUTED")
    if missing:
        raise PeerError(
            f"waited {limit:.0f} s at the start for {named(missing)}",
            do="look at their logs, and start all processes again",
        )


def named(indices: Collection[int]) -> str:
    """Names processes.

    >>> named([1]), named([1, 3])
    ('process 1', 'processes 1, 3')
    """
    shown = ", ".join(map(str, list(indices)[:_SHOWN]))
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return f"process{'' if len(indices) == 1 else 'es'} {shown}{more}"
