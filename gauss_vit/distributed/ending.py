"""The last line of a process that ends with an error, by itself or because a thread of C++ aborts it."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

from gauss_vit.errors import UserError
from gauss_vit.escaping import escaped

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)


def line(error: UserError) -> str:
    """Returns what a terminal shows of an error.

    >>> line(UserError("no such file: W", do="name another one", code="DATA"))
    'gauss_vit: error[DATA]: no such file: W. DO: name another one'
    """
    stop = "" if error.message.endswith(("?", ".", "!")) else "."
    remedy = f"{stop} DO: {error.do}" if error.do else ""
    return escaped(" ".join(f"gauss_vit: error[{error.code}]: {error.message}{remedy}".split()))


def at_once(error: UserError) -> NoReturn:
    """Ends this process with an error, whatever its other threads are stuck in, or hold, such as standard error."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line(error)}\n".encode(errors="backslashreplace"))
    os._exit(error.exit_status)


@contextlib.contextmanager
def on_abort(end: Callable[[], NoReturn]) -> Iterator[None]:
    """Calls a function that ends the process where a thread aborts it within a `with` block.

    JAX aborts all other processes at once when the coordinator is gone. A handler of Python runs in the main thread,
    which would be too late, and the thread that aborts is one of C++: the handler is a C function that ctypes makes.
    """

    def handle(number: int) -> None:
        del number
        end()

    handler = _Handler(handle)
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    before = library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGABRT, before)
