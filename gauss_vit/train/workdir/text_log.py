"""train.log: the messages of a run."""

import contextlib
import logging
import sys
from io import TextIOWrapper
from pathlib import Path

from gauss_vit.escaping import LogFormatter
from gauss_vit.files import append_text

_LOGGER = logging.getLogger(__name__)


class TextLog(logging.FileHandler):
    """A log file whose failure is a warning, once: the run goes on, and its messages are still on the terminal.

    Args:
      path: the file to append to; it is opened by the first message.
    """

    def __init__(self, path: Path):
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
        self._has_failed = False

    def _open(self) -> TextIOWrapper:
        return append_text(Path(self.baseFilename))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a message, unless one failed before."""
        if not self._has_failed:
            try:
                super().emit(record)
            except OSError:
                self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Says what failed, in place of a traceback for each message."""
        del record
        if not self._has_failed:
            self._has_failed = True
            _LOGGER.warning("%s is not written any more: %s", self.baseFilename, sys.exc_info()[1])

    def close(self) -> None:
        """Closes the file; what could not be written was said."""
        with contextlib.suppress(OSError):
            super().close()
