"""What is left of a study, and how long that is expected to take."""

import math
import shlex
from collections.abc import Mapping

from gauss_vit.command_line.table import aligned
from gauss_vit.studies.plan import Plan, PlannedRun, flags
from gauss_vit.studies.run_state import RunState, state_of

_SECONDS_PER_HOUR = 3600.0
_HEADING = ("run", "arm", "seed", "state", "hours left")
_SIDES = ("right", "left", "right", "left", "right")


def plan_lines(plan: Plan) -> list[str]:
    """Lists the runs with the hours that each is expected to take still, and how to start them; runs nothing.

    Arms of which runs are finished are expected to take what those took, others what the study says.

    Raises:
      DataError: a file of a run is damaged.
    """
    states = {run.index: state_of(run, plan.study) for run in plan.runs}
    hours = {run.index: hours_left(plan, run, states) for run in plan.runs}
    rows = [
        (str(run.index), run.arm, str(run.seed), _state(states[run.index]), f"{hours[run.index]:.2f}")
        for run in plan.runs
    ]
    return [
        f"{plan.study.title}: {len(plan.study.arms)} arms, {len(plan.study.seeds)} seeds, {len(plan.runs)} runs",
        *aligned([_HEADING, *rows], _SIDES),
        f"expected: {math.fsum(hours.values()):.2f} hours in turn on one machine",
        f"as an array on Slurm: {_array_command(plan)}, then the study without --run for its results",
    ]


def _array_command(plan: Plan) -> str:
    study = ("study", f"--config={plan.source}", *flags(plan.overrides), f"--workdir={plan.workdir}", "--run={task}")
    return shlex.join(("sbatch", f"--array=0-{len(plan.runs) - 1}", "--nodes=1", "launch/slurm.sbatch", *study))


def hours_left(plan: Plan, run: PlannedRun, states: Mapping[int, RunState]) -> float:
    """Returns the hours that are left of a run.

    Args:
      plan: the study.
      run: one of its runs.
      states: state of every run by its index.
    """
    state = states[run.index]
    if state.is_over:
        return 0.0
    finished = [states[other.index] for other in plan.runs if other.arm == run.arm and states[other.index].is_finished]
    measured = [each.elapsed_seconds for each in finished if each.elapsed_seconds is not None]
    whole = math.fsum(measured) / len(measured) / _SECONDS_PER_HOUR if measured else plan.study.hours_per_run
    return whole * (1 - state.step / state.num_steps if state.num_steps else 1)


def _state(state: RunState) -> str:
    if state.is_over:
        return "diverged" if state.diverged else "finished"
    if state.is_trained:
        return "trained, to be measured"
    return f"stopped at step {state.step}" if state.num_steps is not None else "to do"
