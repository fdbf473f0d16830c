"""Text from outside, such as names of files, classes and tensors, as what a terminal may be shown.

A name may hold any character: one that moves the cursor, sets the title of the window, or reverses the direction of
what follows, so that a line reads as another one.
"""

import logging
import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def escaped(text: str, *, keep: str = "") -> str:
    r"""Replaces what controls a terminal or its reader by escapes as in Python: `\x1b`, `\u202e`.

    These are the control and format characters of Unicode, separators of lines, and undecodable bytes of file names.
    Letters of all scripts and spaces of all widths stay.

    Args:
      text: any text.
      keep: control characters that may stay, such as line breaks between lines.

    >>> print(escaped("tench\x1b[2J\u202egpj.猫"))
    tench\x1b[2J\u202egpj.猫
    """
    if text.isprintable():
        return text
    return "".join(character if character in keep else _shown(character) for character in text)


class LogFormatter(logging.Formatter):
    """Formats what is logged as one line that cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record."""
        return escaped(super().format(record))


def _shown(character: str) -> str:
    is_harmful = unicodedata.category(character) in _HARMFUL
    return character.encode("unicode_escape").decode("ascii") if is_harmful else character
