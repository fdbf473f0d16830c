"""The progress of a study: a table that is drawn again and again on a terminal, and plain lines elsewhere."""

import contextlib
import shutil
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from gauss_vit.command_line import console
from gauss_vit.command_line.table import aligned
from gauss_vit.errors import DataError
from gauss_vit.escaping import escaped
from gauss_vit.studies.plan import Plan, PlannedRun
from gauss_vit.studies.run_state import RunState, latest_value, state_of
from gauss_vit.studies.study import shown
from gauss_vit.train.workdir.progress import duration

_REDRAW_SECONDS = 2.0
_UP, _ERASE_BELOW = "\x1b[{}A", "\x1b[J"
_HEADING = ("run", "arm", "seed", "state", "step", "value", "time")
_SIDES = ("right", "left", "right", "left", "right", "right", "right")


class ProgressTable:
    """One line for each run of a study, on standard error. A `with` block draws it."""

    def __init__(self, plan: Plan, runs: Sequence[PlannedRun]) -> None:
        self._plan = plan
        self._runs = tuple(runs)
        self._notes: dict[int, str] = {}
        self._over: dict[int, RunState] = {}
        self._num_drawn = 0
        self._drawn_at = 0.0
        self._is_live = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> "ProgressTable":
        """Draws the table."""
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draws it for the last time."""
        self._draw()

    def set_note(self, run: PlannedRun, note: str) -> None:
        """Says what is done to a run; an empty note, that nothing is left to do."""
        if self._notes.get(run.index) == note:
            return
        self._notes[run.index] = note
        if self._is_live:
            self._draw()
        else:
            console.remark(self._plain_line(run))

    def refresh(self) -> None:
        """Draws the table again, where it is drawn and that is due."""
        if time.monotonic() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        if not self._is_live:
            return
        size = shutil.get_terminal_size()
        lines = [line[: size.columns - 1] for line in self.lines(most=max(size.lines - 3, 4))]
        up = _UP.format(self._num_drawn) if self._num_drawn else ""
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{up}\r{_ERASE_BELOW}" + "".join(f"{escaped(line)}\n" for line in lines))
            sys.stderr.flush()
        self._num_drawn = len(lines)

    def lines(self, *, most: int) -> list[str]:
        """Formats the table; of many runs, those around the one that is carried out."""
        states = [self._state(run) for run in self._runs]
        rows = [self._row(run, state) for run, state in zip(self._runs, states, strict=True)]
        num_finished = sum(state.is_finished for state in states)
        total = f"{self._plan.study.title}: {num_finished} of {len(rows)} runs finished"
        num_shown = most - 2
        first = max(0, min(len(rows) - num_shown, self._current() - num_shown // 2))
        return [total, *aligned([_HEADING, *rows[first : first + num_shown]], _SIDES)]

    def _current(self) -> int:
        busy = [place for place, run in enumerate(self._runs) if self._notes.get(run.index)]
        return busy[-1] if busy else 0

    def _state(self, run: PlannedRun) -> RunState:
        """Reads the state of a run; one that is over stays so, and is not read again."""
        if run.index in self._over:
            return self._over[run.index]
        try:
            state = state_of(run, self._plan.study)
        except DataError:
            return RunState()
        if state.is_over:
            self._over[run.index] = state
        return state

    def _row(self, run: PlannedRun, state: RunState) -> tuple[str, ...]:
        at_end = "diverged" if state.diverged else "finished"
        note = self._notes.get(run.index) or (at_end if state.is_over else "to do")
        steps = "" if state.num_steps is None else f"{state.step}/{state.num_steps}"
        seconds = "" if state.elapsed_seconds is None else duration(state.elapsed_seconds)
        return (str(run.index), run.arm, str(run.seed), note, steps, self._value(run, state), seconds)

    def _value(self, run: PlannedRun, state: RunState) -> str:
        study = self._plan.study
        value = latest_value(run, study) if state.evaluation is None else state.evaluation.get(study.metric)
        return shown(value, study.unit) if isinstance(value, int | float) else ""

    def _plain_line(self, run: PlannedRun) -> str:
        state = self._state(run)
        _, _, _, note, steps, value, seconds = self._row(run, state)
        words = [note, f"step {steps}" if steps else "", f"{self._plan.study.metric} {value}" if value else "", seconds]
        return f"[{run.index + 1}/{len(self._plan.runs)}] {run.name}: {', '.join(filter(None, words))}"
