"""A process that is silent or has failed is named, and one that is only slow is not; no other process is needed."""

import time
from collections.abc import Callable

import jax
import pytest

from gauss_vit.distributed import peers, phases, processes
from gauss_vit.distributed.processes import JsonLike
from gauss_vit.distributed.watchdog import Watchdog
from gauss_vit.errors import DataError, PeerError, StorageError, UserError


class Board:
    """What three processes have told each other; this one is the first of them."""

    def __init__(self) -> None:
        self.values: dict[str, JsonLike] = {}

    def tell(self, key: str, value: JsonLike, *, once: bool = False) -> bool:
        if once and key in self.values:
            return False
        self.values[key] = value
        return True

    def told(self, folder: str) -> dict[str, JsonLike]:
        return {key.rpartition("/")[2]: value for key, value in self.values.items() if key.startswith(f"{folder}/")}


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """The board, in place of the coordination service."""
    board = Board()
    for name, value in {"tell": board.tell, "told": board.told, "count": lambda: 3, "index": lambda: 0}.items():
        monkeypatch.setattr(processes, name, value)
    monkeypatch.setattr(peers, "_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(peers, "_GRACE_SECONDS", 0.05)
    monkeypatch.setattr(peers, "SILENT_SECONDS", 0.2)
    return board


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[UserError]:
    """The errors that the process would have left with."""
    errors: list[UserError] = []
    monkeypatch.setattr(peers, "leave", errors.append)
    return errors


def while_true(condition: Callable[[], bool], act: Callable[[], None], *, limit: float = 3.0) -> None:
    """Acts again and again until a condition does not hold."""
    deadline = time.monotonic() + limit
    while condition() and time.monotonic() < deadline:
        act()
        time.sleep(0.01)


def alive(board: Board, *indices: int) -> None:
    """Lets processes say that they are alive."""
    for index in indices:
        board.values[f"alive/{index}"] = time.monotonic()


def test_silent_process_is_named_with_what_it_did(board: Board, left: list[UserError]):
    board.values["phase/2"] = {"what": "training step 7", "seconds": 1.0, "left": 299.0}
    with peers.watched():
        while_true(lambda: not left, lambda: alive(board, 1))
    assert left[0].code == "PEER-LOST"
    assert left[0].message == "process 2 stopped answering 0 s ago (the last that it told: training step 7)"
    assert board.values["end/first"]["message"] == left[0].message


def test_processes_that_answer_are_left_alone(board: Board, left: list[UserError]):
    with peers.watched():
        while_true(lambda: True, lambda: alive(board, 1, 2), limit=0.6)
    assert left == []


def test_error_of_another_process_ends_this_one(board: Board, left: list[UserError]):
    told = processes.described(DataError("bad.jpg is truncated", do="remove it", code="DATA-DECODE"))
    board.values["end/first"] = {"process": 1, **told}
    with peers.watched():
        while_true(lambda: not left, lambda: alive(board, 1, 2))
    assert (type(left[0]), left[0].code, left[0].exit_status) == (DataError, "DATA-DECODE", 3)
    assert left[0].message == "process 1: bad.jpg is truncated"


def test_main_thread_that_ends_itself_is_not_cut_short(board: Board, left: list[UserError]):
    board.values["end/first"] = {"process": 1, **processes.described(DataError("bad"))}
    with peers.watched():
        time.sleep(0.03)
    time.sleep(0.1)
    assert left == []


def consequence() -> StorageError:
    """An error of this process that another one has caused."""
    error = StorageError("saving checkpoint 5 failed")
    error.__cause__ = jax.errors.JaxRuntimeError("UNAVAILABLE: connection closed")
    return error


@pytest.mark.parametrize("error", [ValueError("UNKNOWN: Gloo all-reduce failed"), consequence()])
def test_failed_computation_waits_for_its_cause(board: Board, error: Exception):
    board.values["end/first"] = {"process": 2, **processes.described(PeerError("process 1 stopped answering"))}
    assert str(peers.cause(error)) == "process 1 stopped answering"


def test_failed_computation_without_a_cause_is_its_own(board: Board):
    error = ValueError("UNKNOWN: Gloo all-reduce failed")
    assert peers.cause(error) is error


@pytest.mark.parametrize("error", [DataError("bad"), RuntimeError("bug"), KeyError("a")])
def test_error_of_this_process_is_its_own(board: Board, error: Exception):
    board.values["end/first"] = {"process": 2, **processes.described(PeerError("process 1 stopped answering"))}
    assert peers.cause(error) is error


def test_first_error_is_the_one_that_is_told(board: Board):
    peers.tell(DataError("first", code="DATA-DECODE"))
    peers.tell(RuntimeError("second"))
    assert board.values["end/first"]["code"] == "DATA-DECODE"


def test_bug_is_told_too(board: Board):
    peers.tell(RuntimeError("boom"))
    assert board.values["end/first"]["code"] == "PEER-FAILED"
    assert board.values["end/first"]["message"] == "failed: RuntimeError: boom"


def test_phases_are_told_and_listed(board: Board, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(phases, "_EVERY_SECONDS", 0.01)
    board.values["phase/1"] = {"what": "a batch of training to be read", "seconds": 40.0, "left": 1760.0}
    watchdog = Watchdog(lambda wait, seconds: None, every_seconds=0.01)
    with watchdog, phases.told(watchdog), watchdog.limited("training step 3", 300.0):
        while_true(lambda: "phase/0" not in board.values, lambda: None)
        assert board.values["phase/0"]["what"] == "training step 3"
    while_true(lambda: board.values["phase/0"]["left"] > 0, lambda: None)
    assert board.values["phase/0"] == {"what": "the others", "seconds": 0.0, "left": 0.0}
    others = phases.of_others()
    assert list(others) == [1]
    assert phases.listed(others) == ["process 1 waits for a batch of training to be read since 40 s"]


def test_single_process_has_no_peers():
    with peers.watched(), Watchdog(lambda wait, seconds: None) as watchdog, phases.told(watchdog):
        assert phases.of_others() == {}
    error = ValueError("Gloo")
    assert peers.cause(error) is error
    assert not peers.is_ending()
