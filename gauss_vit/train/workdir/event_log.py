"""TensorBoard events, without TensorFlow and without a thread; a failure disables them, and the run continues."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter

# protobuf creates these classes at import, so that a type checker does not find them.
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyrefly: ignore[missing-module-attribute]
from tensorboardX.proto.summary_pb2 import Summary  # pyrefly: ignore[missing-module-attribute]

_LOGGER = logging.getLogger(__name__)


class EventLog:
    """An event file that scalars are appended to.

    Args:
      workdir: folder for the file.
      step: step at which training continues; TensorBoard drops later values of earlier files.
    """

    def __init__(self, workdir: Path, *, step: int):
        self._writer: EventsWriter | None = None
        try:
            self._writer = EventsWriter(str(workdir / "events"), filename_suffix=f".{step}")
            start = Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START))
            self._writer.write_event(start)
        except OSError as error:
            self._disable(error)

    def append(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Writes the values as `split/name`; does nothing after a failure."""
        if self._writer is None:
            return
        scalars = [Summary.Value(tag=f"{split}/{name}", simple_value=value) for name, value in values.items()]
        try:
            self._writer.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))
            self._writer.flush()
        except OSError as error:
            self._disable(error)

    def close(self) -> None:
        """Closes the file."""
        if self._writer is None:
            return
        try:
            self._writer.close()
        except OSError as error:
            self._disable(error)

    def _disable(self, error: OSError) -> None:
        """Warns once that there will be no more events."""
        self._writer = None
        _LOGGER.warning("TensorBoard events disabled: %s; training goes on", error.strerror or error)
