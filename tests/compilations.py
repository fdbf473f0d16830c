"""Which functions JAX compiles in a block of code, from its own log of compilations."""

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterator

import jax

_COMPILING = re.compile(r"Compiling jit\((.+?)\) with")


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts compilations by the name of the function that `jax.jit` was given, also those read from the disk cache."""
    found: Counter[str] = Counter()
    handler = _Names(found)
    logger = logging.getLogger("jax")
    logger.addHandler(handler)
    try:
        with jax.log_compiles():
            yield found
    finally:
        logger.removeHandler(handler)


class _Names(logging.Handler):
    """Reads the names of functions from JAX's messages."""

    def __init__(self, found: Counter[str]):
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        """Counts the function of a message that says what is compiled."""
        match = _COMPILING.match(record.getMessage())
        if match:
            self._found[match[1]] += 1
