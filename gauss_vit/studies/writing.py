"""Writes the result of a study: JSON, Markdown, figures, a page, and rows for a ledger."""

from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from gauss_vit.analysis.paired import Estimate
from gauss_vit.inspect.comparison import write_comparison
from gauss_vit.inspect.result_files import write_figures, write_record, write_text
from gauss_vit.plots.comparison import comparison_figure
from gauss_vit.studies.figures import fields_to_compare, learned_numbers_figure, results_figure
from gauss_vit.studies.ledger import write_rows
from gauss_vit.studies.page import render
from gauss_vit.studies.plan import Plan, study_command
from gauss_vit.studies.run_result import RunResult, read_result
from gauss_vit.studies.run_state import state_of
from gauss_vit.studies.study_rows import ledger_rows
from gauss_vit.studies.summary import ArmSummary, Difference, Summary, verdict
from gauss_vit.studies.tables import NOTES, main_tables, markdown, other_tables, verdicts

STUDY, FIELDS, LEARNED, LEDGER = "study", "fields", "learned", "ledger.json"


def read_results(plan: Plan) -> tuple[RunResult, ...]:
    """Reads the runs that are finished.

    Raises:
      DataError: a file of a run is missing or damaged, or the study's metric is not measured.
    """
    states = [(run, state_of(run, plan.study)) for run in plan.runs]
    return tuple(read_result(run, state, plan.study) for run, state in states if state.is_finished)


def read_diverged(plan: Plan) -> dict[str, str]:
    """Reads the names of the runs that diverged, with the reason."""
    states = {run.name: state_of(run, plan.study) for run in plan.runs}
    return {name: state.diverged for name, state in states.items() if state.diverged}


def write_study(summary: Summary) -> tuple[str, ...]:
    """Writes all files of the result into the folder of the study.

    Returns:
      The lines that tell a user what came out and what was written.

    Raises:
      StorageError: a file cannot be written.
    """
    folder = summary.plan.workdir
    write_record(folder / f"{STUDY}.json", record(summary))
    write_text(folder / f"{STUDY}.md", markdown_text(summary))
    write_rows(folder / LEDGER, ledger_rows(summary))
    figures: list[tuple[str, Figure]] = [("Results", results_figure(summary))]
    learned, fields = learned_numbers_figure(summary), fields_to_compare(summary)
    if learned is not None:
        figures.append(("Learned position terms", learned))
        write_figures(folder / LEARNED, learned)
    if len(fields) > 1:
        figures.append(("Receptive fields after training, means over seeds", comparison_figure(fields)))
        write_comparison(folder / FIELDS, fields)
    write_figures(folder / STUDY, figures[0][1])
    write_text(folder / f"{STUDY}.html", render(summary, figures))
    return (*verdicts(summary), *_absent(summary), _written(folder, summary))


def _absent(summary: Summary) -> tuple[str, ...]:
    lines = [f"diverged: {name}: {reason}" for name, reason in summary.diverged.items()]
    return (*lines, *([f"not finished: {', '.join(summary.missing)}"] if summary.missing else []))


def _written(folder: Path, summary: Summary) -> str:
    number = f"{len(summary.results)} of {len(summary.plan.runs)} runs"
    return f"{folder}: {STUDY}.html .md .json .png .pdf, {LEDGER}; {number}"


def markdown_text(summary: Summary) -> str:
    """Writes the result as Markdown."""
    lines = [
        f"# {summary.study.title}",
        "",
        f"    {study_command(summary.plan)}",
        "",
        *(f"- {line}" for line in (*verdicts(summary), *_absent(summary))),
        "",
        f"![Results]({STUDY}.png)",
        "",
    ]
    for table in (*main_tables(summary), *other_tables(summary)):
        lines += markdown(table)
    return "\n".join([*lines, "## How to read it", "", *(f"- {note}" for note in NOTES), ""])


def record(summary: Summary) -> dict[str, object]:
    """Returns the result as JSON values; times and speeds are under `cost` alone."""
    return {
        "study": asdict(summary.study),
        "command": study_command(summary.plan),
        "num_runs": len(summary.plan.runs),
        "missing": list(summary.missing),
        "diverged": [{"name": name, "reason": reason} for name, reason in summary.diverged.items()],
        "arms": [_arm(arm) for arm in summary.arms],
        "differences": [_difference(each, baseline=summary.study.baseline) for each in summary.differences],
        "runs": [_run(result) for result in summary.results],
        "cost": {arm.name: {"seconds_per_step": arm.seconds_per_step} for arm in summary.arms},
    }


def _arm(arm: ArmSummary) -> dict[str, object]:
    return {
        "name": arm.name,
        "seeds": list(arm.results),
        **_estimate(arm.estimate),
        "interval_over_images": None if arm.over_images is None else list(arm.over_images),
        "learned": {name: list(values) for name, values in arm.learned.items()},
        "half_mass_radius": None if arm.half_mass_radius is None else _estimate(arm.half_mass_radius),
    }


def _difference(difference: Difference, *, baseline: str) -> dict[str, object]:
    return {
        "arm": difference.arm,
        "baseline": baseline,
        "by_seed": {str(seed): value for seed, value in difference.by_seed.items()},
        **_estimate(difference.estimate),
        "interval_over_images": None if difference.over_images is None else list(difference.over_images),
        "verdict": verdict(difference, baseline=baseline),
    }


def _run(result: RunResult) -> dict[str, object]:
    return {
        "arm": result.run.arm,
        "seed": result.run.seed,
        "value": result.value,
        "metrics": dict(result.metrics),
        "learned": {name: list(values) for name, values in result.learned.items()},
        "half_mass_radius": result.half_mass_radius,
        "revision": result.revision,
        "machine": result.machine,
    }


def _estimate(found: Estimate) -> dict[str, object]:
    interval = None if found.interval is None else list(found.interval)
    return {"mean": found.mean, "num": found.num, "deviation": found.deviation, "interval": interval}
