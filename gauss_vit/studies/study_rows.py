"""The rows that a study adds to a ledger: every run, the mean of every arm, and every difference."""

from collections.abc import Iterator, Sequence

from gauss_vit.quantities import counted
from gauss_vit.studies.ledger import LedgerRow
from gauss_vit.studies.plan import shown_commands, study_command
from gauss_vit.studies.run_result import RunResult
from gauss_vit.studies.summary import ArmSummary, Difference, Summary

_DIGITS = 6


def ledger_rows(summary: Summary) -> tuple[LedgerRow, ...]:
    """Returns the rows of the finished runs, in the order of the study; those of a single run come first."""
    return (*_runs(summary), *_arms(summary), *_differences(summary))


def _runs(summary: Summary) -> Iterator[LedgerRow]:
    for result in sorted(summary.results, key=lambda result: result.run.index):
        yield LedgerRow(
            item=summary.study.title,
            what=f"{summary.study.metric} of {result.run.name}",
            unit=summary.study.unit,
            ours=_scaled(result.value, summary),
            seeds=(result.run.seed,),
            config=result.run.config,
            commit=result.revision,
            machine=result.machine,
            scale="small",
            command=shown_commands(summary.plan, result.run),
        )


def _arms(summary: Summary) -> Iterator[LedgerRow]:
    for arm in summary.arms:
        what = f"mean {summary.study.metric} of {arm.name}"
        yield _of_seeds(summary, what, arm, seeds=tuple(arm.results), results=list(arm.results.values()))


def _differences(summary: Summary) -> Iterator[LedgerRow]:
    by_name = {arm.name: arm for arm in summary.arms}
    for difference in summary.differences:
        arms, seeds = (by_name[difference.arm], by_name[summary.study.baseline]), tuple(difference.by_seed)
        results = [arm.results[seed] for arm in arms for seed in seeds]
        what = f"{summary.study.metric} of {difference.arm} minus {summary.study.baseline}, within seeds"
        yield _of_seeds(summary, what, difference, seeds=seeds, results=results)


def _of_seeds(
    summary: Summary,
    what: str,
    number: ArmSummary | Difference,
    *,
    seeds: tuple[int, ...],
    results: Sequence[RunResult],
) -> LedgerRow:
    """Returns the row of a mean over seeds, which the runs of `results` are behind."""
    found = number.estimate
    note = "interval over seeds" if found.interval is not None else "one seed"
    if number.over_images is not None:
        low, high = (_scaled(end, summary) for end in number.over_images)
        note += f"; over test images {low} to {high}"
    if number.num_diverged:
        note += f"; without {counted(number.num_diverged, 'run')} that diverged"
    return LedgerRow(
        item=summary.study.title,
        what=what,
        unit=summary.study.unit,
        ours=_scaled(found.mean, summary),
        seeds=seeds,
        interval=None
        if found.interval is None
        else (_scaled(found.interval.low, summary), _scaled(found.interval.high, summary)),
        config=summary.plan.source,
        commit=_joined([result.revision for result in results]),
        machine=_joined([result.machine for result in results]),
        scale="small",
        command=study_command(summary.plan),
        note=note,
    )


def _scaled(value: float, summary: Summary) -> float:
    """Rounds to digits that no computer disagrees about, in per cent where the study has shares."""
    return round(summary.study.scale * value, _DIGITS)


def _joined(values: Sequence[str | None]) -> str | None:
    known = sorted({value for value in values if value is not None})
    return ", ".join(known) or None
