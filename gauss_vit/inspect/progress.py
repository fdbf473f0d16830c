"""Progress over many images on standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from gauss_vit.command_line import console
from gauss_vit.escaping import escaped
from gauss_vit.quantities import counted
from gauss_vit.waiting import announced


@dataclass(frozen=True)
class Progress:
    """A bar that counts images, and the lines above it.

    Attributes:
      bar: the bar, disabled where there is no terminal.
    """

    bar: tqdm

    def update(self, count: int) -> None:
        """Counts images that are done."""
        self.bar.update(count)

    def say(self, line: str) -> None:
        """Writes a line to standard output, above the bar."""
        with tqdm.external_write_mode(file=sys.stdout):
            console.say(line)

    def warn(self, line: str) -> None:
        """Writes a warning to standard error, above the bar."""
        with tqdm.external_write_mode(file=sys.stderr):
            console.warn(line)


@contextmanager
def progress(doing: str, subject: str, total: int, *, done: int = 0) -> Iterator[Progress]:
    """Shows progress within a `with` block.

    Args:
      doing: what is done, such as "measuring".
      subject: what it is done to, such as the name of the model.
      total: number of images.
      done: number of images that were done before.
    """
    bar = tqdm(
        initial=done,
        total=total,
        desc=escaped(subject),
        unit="image",
        file=sys.stderr,
        disable=sys.stderr is None or not sys.stderr.isatty(),
        leave=False,
    )
    with bar:
        if not bar.disable:
            yield Progress(bar)
            return
        with announced(f"{doing} {subject} on {counted(total, 'image')}"):
            yield Progress(bar)
