"""Output to the terminal: results on standard output, warnings and progress on standard error.

What names of files and classes may hold cannot control the terminal: such characters are escaped. Results that cannot
be written are an error. Warnings and progress that cannot be written are left out: they end nothing.
"""

import contextlib
import io
import os
import sys

from gauss_vit.errors import StorageError
from gauss_vit.escaping import escaped

_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2
_STREAMS = range(3)


class ReaderGoneError(Exception):
    """The program that read standard output, such as `head`, has stopped reading."""


def prepare() -> None:
    """Prepares the standard streams: closed ones stay silent, and no text is one that they cannot write.

    A file that is opened while a standard stream is closed gets its number, and with it what libraries write there.
    """
    for number in _STREAMS:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def can_write(text: str) -> bool:
    """Returns whether standard output takes a text as it is: an old terminal may know ASCII alone."""
    encoding = "ascii" if sys.stdout is None else sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def say(text: str) -> None:
    """Writes lines to standard output and flushes them.

    Args:
      text: one or more lines, without the last line break.

    Raises:
      ReaderGoneError: what read standard output has ended.
      StorageError: code STDOUT, standard output is closed, or a file on a full disk.
    """
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        sys.stdout.write(escaped(text, keep="\n\t") + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        discard_output()
        raise ReaderGoneError from error
    except OSError as error:
        discard_output()
        reason = error.strerror or str(error)
        do = "send it where it can be written"
        raise StorageError(f"cannot write to standard output: {reason}", do=do, code="STDOUT") from error


def remark(text: str) -> None:
    """Writes lines, such as about progress, to standard error and flushes them."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(escaped(text, keep="\n\t") + "\n")
            sys.stderr.flush()


def warn(line: str) -> None:
    """Writes a warning of one line to standard error and flushes it."""
    remark(f"gauss_vit: warning: {escaped(line)}")


def separate_output() -> None:
    """Keeps standard output for results: what libraries of other languages write there goes to standard error."""
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(_STANDARD_OUTPUT), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(_STANDARD_ERROR, _STANDARD_OUTPUT)


def discard_output() -> None:
    """Lets standard output vanish, also what is still buffered, which Python would try to write at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT if sys.stdout is None else sys.stdout.fileno())
