"""`study`: arms times seeds as ordinary runs, in turn or as an array, and what their differences come to."""

from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.errors import ConfigError
from gauss_vit.studies.execution import execute
from gauss_vit.studies.expected_time import plan_lines
from gauss_vit.studies.plan import Plan, PlannedRun, make_plan
from gauss_vit.studies.progress_table import ProgressTable
from gauss_vit.studies.run_state import state_of
from gauss_vit.studies.summary import summarize
from gauss_vit.studies.writing import read_diverged, read_results, write_study


def run(invocation: Invocation) -> None:
    """Trains and measures every run that is not finished, and writes the result; the same command resumes.

    `--plan` lists the runs with their expected hours and runs nothing. `--run=INDEX` carries out one run alone, as the
    task of an array on Slurm does, and writes no result. `--so_far` writes the result of the finished runs, and
    runs nothing. A run that diverges is left out of the result, and named.

    Raises:
      ConfigError: the study is wrong, a run was started with another experiment, or no run is finished.
      DataError: a file of a run is missing or damaged.
      StorageError: the folder of the study cannot be written.
      SystemExit: a signal came (143), or a run ended with an error (its status).
    """
    plan = make_plan(invocation.required_config(), overrides=invocation.overrides, workdir=invocation.path("workdir"))
    if invocation.switch("plan"):
        for line in plan_lines(plan):
            say(line)
        return
    so_far = invocation.switch("so_far")
    if so_far and invocation.is_given("run"):
        raise ConfigError("--so_far and --run exclude each other", do="leave out one of them")
    chosen = _finished(plan) if so_far else _chosen(plan, invocation.integer("run"))
    execute(plan, chosen, table=ProgressTable(plan, chosen))
    if invocation.is_given("run"):
        say(f"{chosen[0].name}: {state_of(chosen[0], plan.study).diverged or 'finished'}")
        return
    results = read_results(plan)
    if not results:
        raise ConfigError("no run of the study could be finished", do=f"see the logs in {plan.own_folder}")
    for line in write_study(summarize(plan, results, diverged=read_diverged(plan))):
        say(line)


def _finished(plan: Plan) -> tuple[PlannedRun, ...]:
    finished = tuple(run for run in plan.runs if state_of(run, plan.study).is_finished)
    if not finished:
        raise ConfigError(f"no run of the study in {plan.workdir} is finished", do="leave out --so_far to run it")
    return finished


def _chosen(plan: Plan, index: int | None) -> tuple[PlannedRun, ...]:
    if index is None:
        return plan.runs
    if index >= len(plan.runs):
        raise ConfigError(f"--run must be an integer from 0 to {len(plan.runs) - 1}, got {index}")
    return (plan.runs[index],)
