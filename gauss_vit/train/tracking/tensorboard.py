"""TensorBoard events, without TensorFlow. Records are written at once: a writer with a thread would stall a run whose
disk is full."""

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import RecordWriter, summary

# protobuf creates these classes at import, so that a type checker does not find them.
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyrefly: ignore[missing-module-attribute]
from tensorboardX.proto.summary_pb2 import Summary  # pyrefly: ignore[missing-module-attribute]

from gauss_vit.train.tracking.tracker import TrackedRun, flat

_LEADING_METRIC = "train/loss"


class EventFile:
    """A new event file in a workdir, which begins with the config as text and as hyperparameters.

    Args:
      run: the run; TensorBoard drops what earlier files have after its step.

    Raises:
      OSError: the file cannot be written.
    """

    def __init__(self, run: TrackedRun):
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{run.step}"
        self._file = RecordWriter(str(run.workdir / name))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=run.step + 1, session_log=start))
        self._add(run.step, summary.text("config", f"```json\n{json.dumps(run.config, indent=2)}\n```"))
        experiment, begin, _ = summary.hparams(flat(run.config), {_LEADING_METRIC: None})
        self._add(run.step, experiment, begin)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers."""
        self._add(step, *(summary.scalar(name, value) for name, value in values.items()))

    def show(self, step: int, name: str, picture: Path) -> None:
        """Writes a picture."""
        with Image.open(picture) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        self._add(step, summary.image(name, pixels, dataformats="HWC"))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _add(self, step: int, *summaries: Summary) -> None:
        values = [value for each in summaries for value in each.value]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._file.flush()

    def _write(self, event: Event) -> None:
        self._file.write(event.SerializeToString())
