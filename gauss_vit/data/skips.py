"""Skips damaged images: each is counted and reported once, up to a limit."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from gauss_vit.errors import DataError

SKIPPABLE = frozenset({"DATA-DECODE", "DATA-BOMB", "DATA-MASK"})
"""Codes of errors that concern one image. A value in a mask that no class has is not one: the classes may be wrong."""


_LINE = re.compile(r"skipped image \d+ of at most \d+, example (\d+): ")


def indices_in(text: str) -> set[int]:
    """Reads the skipped examples in what was reported of them; a line that ends early may be lost.

    >>> sorted(indices_in("skipped image 1 of at most 9, example 7: a.png: broken\\nskipped image 2 of"))
    [7]
    """
    return {int(index) for index in _LINE.findall(text)}


@dataclass(frozen=True, kw_only=True)
class Skips:
    """The damaged images of a run so far; shared by threads.

    Attributes:
      limit: most different images that may be skipped; None is any number.
      report: called with a line for each of them.
      indices: examples that were skipped so far.
      lock: held while `indices` changes.
    """

    limit: int | None
    report: Callable[[str], None]
    indices: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, index: int, error: DataError) -> None:
        """Records that an example cannot be read.

        Args:
          index: the example; it counts once, however many epochs it appears in.
          error: the reason.

        Raises:
          DataError: the error itself, if it concerns more than one image; DATA-SKIPPED, there are too many.
        """
        if error.code not in SKIPPABLE:
            raise error
        with self.lock:
            if index in self.indices:
                return
            self.indices.add(index)
            count = len(self.indices)
        if self.limit is None:
            self.report(f"skipped {error.message}")
            return
        if count > self.limit:
            message = f"{count} damaged images, and data.max_skipped is {self.limit}; the last is {error.message}"
            do = "repair the data set and remove the list of bad files, or raise data.max_skipped"
            raise DataError(message, do=do, code="DATA-SKIPPED")
        self.report(f"skipped image {count} of at most {self.limit}, example {index}: {error.message}")
