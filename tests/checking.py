"""Checks of types and shapes that are compiled when a function is first called."""

import functools
from collections.abc import Callable

from beartype import beartype


def checked_when_called(function: Callable) -> Callable:
    """Checks every call of a function as `beartype` does.

    Most functions of the package are not called in one process of the tests, and compiling the checks of all takes
    three seconds of its start.
    """

    @functools.cache
    def checked() -> Callable:
        return beartype(function)

    @functools.wraps(function)
    def check(*arguments: object, **named: object) -> object:
        return checked()(*arguments, **named)

    return check
