"""Command lines as the invocations that verbs are given."""

from collections.abc import Sequence
from typing import NoReturn

from gauss_vit.command_line import parsing
from gauss_vit.command_line.console import ReaderGoneError
from gauss_vit.command_line.invocation import Invocation, invoke
from gauss_vit.commands.verbs import VERBS


def invocation(arguments: Sequence[str]) -> Invocation:
    """What the verb of a command line is given, without the program's name."""
    return invoke(parsing.parse(arguments, VERBS))


def unread(text: str) -> NoReturn:
    """Stands in for `console.say` where what reads standard output, such as `head`, has ended."""
    raise ReaderGoneError(text)
