"""Watches over the other processes of a run: one that is gone, or that has failed, ends all of them with its reason.

JAX ends the processes that are left as well, later, with a C++ stack trace that does not say why. A process that fails
tells the others its error before it leaves, and one that says nothing any more is named by process 0.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import jax

from gauss_vit.distributed import ending, phases, processes
from gauss_vit.distributed.processes import JsonLike
from gauss_vit.errors import MismatchError, PeerError, UserError

SILENT_SECONDS = 25.0
"""Seconds after which a process that says nothing is gone."""

_EVERY_SECONDS = 1.0
_GRACE_SECONDS = 3.0
_COORDINATOR_SECONDS = 5.0
_SHOWN = 10
_ABORTED = PeerError(
    "JAX has aborted this process, as its line above says: most likely process 0, the coordinator, is gone",
    do="look at its log and its host; the same command on all hosts resumes",
)
# Errors that name the processes that they are about.
_NAMING = (PeerError.default_code, MismatchError.default_code)
_ALIVE, _END, _FIRST = "alive", "end", "first"


@contextmanager
def watched() -> Iterator[None]:
    """Watches over the other processes within a `with` block, in threads; of a single process there are none."""
    if processes.count() == 1:
        yield
        return
    vigil = _Vigil()
    vigil.start()
    try:
        with ending.on_abort(vigil.end_aborted):
            yield
    finally:
        vigil.stop()


def cause(error: Exception) -> Exception:
    """Returns why the run ends: the reason of another process, where that is what made an error, or the error.

    A process that is gone makes computations of the others fail at once, and is known to be gone some seconds later.
    """
    if processes.count() == 1 or not _may_be_a_consequence(error):
        return error
    deadline = time.monotonic() + (0.0 if isinstance(error, PeerError) else SILENT_SECONDS + _GRACE_SECONDS)
    while (told := _told()) is None and time.monotonic() < deadline:
        time.sleep(_EVERY_SECONDS / 4)
    return error if told is None else _error(told)


def tell(error: Exception) -> None:
    """Tells the others why this process ends, if it is the first one to."""
    if processes.count() > 1:
        told = {"process": processes.index(), **processes.described(error)}
        processes.tell(f"{_END}/{_FIRST}", told, once=True)


def is_ending() -> bool:
    """Returns whether a process has told why the run ends."""
    return processes.count() > 1 and _told() is not None


def leave(error: UserError) -> NoReturn:
    """Tells the others an error, and ends this process, whatever its main thread is stuck in.

    JAX aborts the others when the coordinator leaves, which gives them the time to hear of it therefore.
    """
    tell(error)
    if processes.count() > 1 and processes.is_first():
        time.sleep(_COORDINATOR_SECONDS)
    ending.at_once(error)


def _told() -> Mapping[str, Any] | None:
    """Returns the error that ends the run, as the first process that knew it has described it."""
    return cast("Mapping[str, Any] | None", (processes.told(_END) or {}).get(_FIRST))


def _error(told: Mapping[str, Any]) -> UserError:
    error = processes.rebuilt(told)
    if told["code"] not in _NAMING:
        error.message = f"process {told['process']}: {error.message}"
    return error


def _may_be_a_consequence(error: BaseException | None) -> bool:
    """Returns whether an error may come from a computation, a wait or a save in which another process is missing."""
    if error is None or isinstance(error, MismatchError):
        return False
    is_of_jax = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error)
    is_one = is_of_jax or isinstance(error, PeerError) or "Gloo" in str(error)
    return is_one or _may_be_a_consequence(error.__cause__ or error.__context__)


class _Vigil:
    """What this process tells the others and hears of them. One thread talks, as it may be stuck, and one judges."""

    def __init__(self) -> None:
        self._is_done = threading.Event()
        self._others = set(range(processes.count())) - {processes.index()}
        self._seen: dict[int, JsonLike] = {}
        # Process 0, the coordinator, hears all; the others hear it alone, or it would do nothing else.
        heard = self._others if processes.is_first() else {0}
        self._last = dict.fromkeys(heard, time.monotonic())
        self._told: Mapping[str, Any] | None = None
        self._talker = threading.Thread(target=self._talk, name="telling the other processes", daemon=True)
        self._judge = threading.Thread(target=self._watch, name="watching the other processes", daemon=True)

    def start(self) -> None:
        """Starts both threads."""
        self._talker.start()
        self._judge.start()

    def end_aborted(self) -> NoReturn:
        """Ends this process, which JAX aborts, with what another one has told, or the loss of the coordinator."""
        ending.at_once(_ABORTED if self._told is None else _error(self._told))

    def stop(self) -> None:
        """Ends the watch; a thread that is stuck is left alone."""
        self._is_done.set()

    def _talk(self) -> None:
        """Says that this process is alive, and notes who else is."""
        turn = 0
        while not self._is_done.wait(_EVERY_SECONDS):
            turn += 1
            processes.tell(f"{_ALIVE}/{processes.index()}", turn)
            self._told = _told()
            if processes.is_first():
                self._hear(processes.told(_ALIVE) or {})
            elif processes.told(_END) is not None:
                self._last[0] = time.monotonic()

    def _hear(self, heard: Mapping[str, JsonLike]) -> None:
        """Notes who has said something new."""
        for name, turn in heard.items():
            peer = int(name)
            if peer in self._last and turn != self._seen.get(peer):
                self._seen[peer], self._last[peer] = turn, time.monotonic()

    def _watch(self) -> None:
        """Ends this process once another one has failed or is silent."""
        before = time.monotonic()
        while not self._is_done.wait(_EVERY_SECONDS):
            now = time.monotonic()
            if now - before > _GRACE_SECONDS:
                # This process was suspended, and has heard nothing in that time.
                self._last = dict.fromkeys(self._last, now)
            before = now
            if self._told is not None and self._told["process"] in self._others:
                self._leave(_error(self._told))
            lost = {peer: now - last for peer, last in self._last.items() if now - last > SILENT_SECONDS}
            if lost:
                self._report(lost)

    def _report(self, lost: Mapping[int, float]) -> None:
        """Tells all who is gone, and leaves."""
        told = phases.of_others() if processes.is_first() else {}
        who = "; ".join(
            f"process {peer} stopped answering {seconds:.0f} s ago"
            + (f" (the last that it told: {told[peer].what})" if peer in told else "")
            for peer, seconds in sorted(lost.items())[:_SHOWN]
        )
        error = PeerError(who, do="look at its log and its host; the same command on all hosts resumes")
        if 0 not in lost:
            tell(error)
            self._leave(error)
        # Without the coordinator there is nobody to tell it, and whoever tries is stuck.
        elif not self._is_done.wait(_GRACE_SECONDS):
            ending.at_once(error)

    def _leave(self, error: UserError) -> None:
        """Leaves with an error, unless the main thread, which may know it already, does so within some seconds."""
        if not self._is_done.wait(_GRACE_SECONDS):
            leave(error)
