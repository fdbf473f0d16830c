"""The last line of a process that JAX aborts, as it does at once in all others when the coordinator is gone."""

import ctypes
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gauss_vit.distributed import ending
from gauss_vit.errors import UserError

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)


@contextmanager
def said_as(reason: Callable[[], UserError]) -> Iterator[None]:
    """Ends the process with the error that a function returns where a thread aborts it within a `with` block.

    A handler of Python runs in the main thread, which would be too late, and the thread that aborts is one of C++: the
    handler is therefore a C function, which ctypes makes.
    """

    def end(number: int) -> None:
        del number
        ending.at_once(reason())

    handler = _Handler(end)
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    before = library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGABRT, before)
