"""Reads the arrays in a large JSON object one element after another, so that the file is never held as a whole.

A file of half a gigabyte, decoded at once, takes several. Here the text of a few elements is held, and no more than a
limit where a file is damaged.
"""

import collections
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from gauss_vit.files import open_regular

_BLOCK = 2**20
_LONGEST_VALUE = 2**24
"""Characters of a value, beyond which a file is refused: an element of an array of COCO has at most 100,000."""

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def read_arrays(path: Path) -> Iterator[tuple[str, Iterator[object]]]:
    """Yields the arrays among the values of a JSON object, in their order: the key, and an iterator of the elements.

    What is left of an array when the next one is asked for, and other values, are passed over. NaN and infinity are
    read as numbers, as Python's `json` does.

    Args:
      path: the file, in UTF-8.

    Raises:
      OSError: it cannot be read, or is no regular file.
      ValueError: it is not a JSON object, is nested too deeply, or holds a value of more than 16 million characters.
    """
    with io.TextIOWrapper(io.BufferedReader(open_regular(path), _BLOCK), encoding="utf-8-sig", newline="") as file:
        text = _Text(file)
        text.take("{")
        if text.next() != "}":
            yield from _members(text)
        text.take("}")
        if text.next():
            raise text.expected("the end of the file")


def _members(text: "_Text") -> Iterator[tuple[str, Iterator[object]]]:
    """Yields the arrays among the members of an object, up to its closing brace."""
    while True:
        key = text.value()
        if not isinstance(key, str):
            raise text.expected("a key")
        text.take(":")
        if text.next() == "[":
            elements = _elements(text)
            yield key, elements
            collections.deque(elements, maxlen=0)
        else:
            text.value()
        if text.next() != ",":
            return
        text.take(",")


def _elements(text: "_Text") -> Iterator[object]:
    """Yields the elements of an array, and passes over its brackets."""
    text.take("[")
    if text.next() != "]":
        yield text.value()
        while text.next() == ",":
            text.take(",")
            yield text.value()
    text.take("]")


class _Text:
    """The text of a file, of which the part is held that is being decoded."""

    def __init__(self, file: io.TextIOWrapper):
        self._file = file
        self._held, self._place, self._num_dropped = "", 0, 0

    def next(self) -> str:
        """Passes over white space and returns the character after it; "" at the end of the file."""
        self._skip_space()
        while self._place == len(self._held) and self._extend():
            self._skip_space()
        return self._held[self._place : self._place + 1]

    def _skip_space(self) -> None:
        match = _SPACE.match(self._held, self._place)
        assert match is not None, "the pattern matches nothing as well"
        self._place = match.end()

    def take(self, mark: str) -> None:
        """Passes over a character after white space.

        Raises:
          ValueError: another one is there.
        """
        if self.next() != mark:
            raise self.expected(repr(mark))
        self._place += 1

    def value(self) -> object:
        """Decodes the value after white space.

        Raises:
          ValueError: there is none, or it is nested too deeply or too long.
        """
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._place)
            except RecursionError as error:
                raise ValueError(f"the value at {self._where()} is nested too deeply") from error
            except json.JSONDecodeError as error:
                place = self._num_dropped + error.pos + 1
                if not self._extend():
                    raise ValueError(f"{error.msg} at character {place:,}") from error
            except ValueError as error:
                raise ValueError(f"the value at {self._where()} has a number of too many digits") from error
            else:
                # A number at the end of what is held may go on.
                if end < len(self._held) or not self._extend():
                    self._place = end
                    return value

    def expected(self, what: str) -> ValueError:
        """Returns the error that something else is at this place."""
        return ValueError(f"expected {what} at {self._where()}, found {self.next() or 'the end of the file'!r}")

    def _where(self) -> str:
        return f"character {self._num_dropped + self._place + 1:,}"

    def _extend(self) -> bool:
        """Drops what was decoded and reads on, as much again as is held; returns False at the end of the file.

        Raises:
          ValueError: the value that is being decoded is too long.
        """
        self._num_dropped += self._place
        self._held, self._place = self._held[self._place :], 0
        if len(self._held) > _LONGEST_VALUE:
            raise ValueError(f"the value at {self._where()} has more than {_LONGEST_VALUE:,} characters")
        block = self._file.read(max(_BLOCK, len(self._held)))
        self._held += block
        return bool(block)
