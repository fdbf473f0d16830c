"""The roll call, with threads in the place of processes."""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from gauss_vit.distributed import roll_call
from gauss_vit.errors import ConfigError, PeerError, UserError
from tests.processes import free_port

HOST = "127.0.0.1"


def outcomes(calls: Sequence[Callable[[], None]]) -> list[UserError | None]:
    """Calls functions at the same time, and gives what each of them raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.exception() for future in [pool.submit(call) for call in calls]]


def called(port: int, count: int, *, limit: float = 10.0) -> Callable[[], None]:
    return lambda: roll_call.call(HOST, port, num_processes=count, limit=limit)


def answered(port: int, index: int, count: int, *, limit: float = 10.0) -> Callable[[], None]:
    return lambda: roll_call.answer(HOST, port, index=index, num_processes=count, limit=limit)


def test_everybody_is_there():
    port = free_port()
    assert outcomes([answered(port, 2, 3), answered(port, 1, 3), called(port, 3)]) == [None] * 3


def test_the_missing_are_named_by_all_within_the_limit():
    port, start = free_port(), time.monotonic()
    errors = outcomes([called(port, 4, limit=0.5), answered(port, 2, 4)])
    assert time.monotonic() - start < 3.0
    assert [type(error) for error in errors] == [PeerError] * 2
    assert {error.message for error in errors} == {"waited 0 s at the start for processes 1, 3"}


def test_a_coordinator_that_never_comes_is_named():
    (error,) = outcomes([answered(free_port(), 1, 2, limit=0.3)])
    assert isinstance(error, PeerError)
    assert "process 1 waited 0 s for process 0, the coordinator, at 127.0.0.1:" in error.message
    assert error.message.endswith("Connection refused")


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([(1, 3), (1, 3)], "two processes were started as process 1"),
        ([(0, 3)], "two processes were started as process 0"),
        ([(1, 4)], "process 1 was started as one of 4, process 0 as one of 3"),
    ],
)
def test_numbers_that_do_not_fit_are_said_by_all(others: list, message: str):
    port = free_port()
    errors = outcomes([called(port, 3), *(answered(port, index, count) for index, count in others)])
    assert {(type(error), error.message) for error in errors} == {(ConfigError, message)}


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b"{}\n", b'{"index": "x", "count": 1}\n', b""])
def test_whoever_else_connects_is_ignored(noise: bytes):
    port = free_port()

    def scan_and_answer() -> None:
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port)) as connection:
                connection.sendall(noise)
                break
        answered(port, 1, 2)()

    assert outcomes([called(port, 2), scan_and_answer]) == [None, None]


def test_another_program_at_the_address_is_said():
    with socket.create_server((HOST, 0)) as server:

        def reply() -> None:
            with server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(b"SSH-2.0\r\n")

        error, _ = outcomes([answered(server.getsockname()[1], 1, 2), reply])
    assert isinstance(error, PeerError)
    assert "was answered by another program" in error.message


def test_an_address_in_use_or_of_another_machine_is_said():
    with socket.create_server((HOST, 0)) as server:
        (error,) = outcomes([called(server.getsockname()[1], 2)])
    assert isinstance(error, ConfigError)
    assert "Address already in use" in error.message
    with pytest.raises(ConfigError, match="Cannot assign requested address"):
        roll_call.call("192.0.2.1", free_port(), num_processes=2, limit=1.0)


def test_a_host_without_an_address_is_said(caplog: pytest.LogCaptureFixture):
    with pytest.raises(PeerError, match=r"host none\.invalid has no address after 0 s"):
        roll_call.wait_for_host("none.invalid", limit=0.3)
    assert "the coordinator's host none.invalid has no address yet" in caplog.text
