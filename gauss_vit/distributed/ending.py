"""The last line of a process that ends with an error."""

import contextlib
import os
from typing import NoReturn

from gauss_vit.errors import UserError
from gauss_vit.escaping import escaped


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
