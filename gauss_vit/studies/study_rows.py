"""The rows that a study adds to a ledger: every run, the mean of every arm, and every difference."""

from collections.abc import Iterator, Sequence

from gauss_vit.analysis.bootstrap import Band
from gauss_vit.analysis.paired import Estimate
from gauss_vit.studies.ledger import LedgerRow
from gauss_vit.studies.plan import shown_commands, study_command
from gauss_vit.studies.run_result import RunResult
from gauss_vit.studies.summary import Summary

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
            config=result.run.train[1].removeprefix("--config="),
            commit=result.revision,
            machine=result.machine,
            scale="small",
            command=shown_commands(summary.plan, result.run),
        )


def _arms(summary: Summary) -> Iterator[LedgerRow]:
    for arm in summary.arms:
        results = list(arm.results.values())
        yield _of_seeds(summary, f"mean {summary.study.metric} of {arm.name}", arm.estimate, arm.images, results)


def _differences(summary: Summary) -> Iterator[LedgerRow]:
    by_name = {arm.name: arm for arm in summary.arms}
    for difference in summary.differences:
        runs = [by_name[difference.arm].results[seed] for seed in difference.by_seed]
        what = f"{summary.study.metric} of {difference.arm} minus {summary.study.baseline}, within seeds"
        yield _of_seeds(summary, what, difference.estimate, difference.images, runs)


def _of_seeds(
    summary: Summary, what: str, found: Estimate, images: Band | None, results: Sequence[RunResult]
) -> LedgerRow:
    note = "interval over seeds" if found.interval is not None else "one seed"
    if images is not None:
        low, high = (_scaled(end, summary) for end in images)
        note += f"; over test images {low} to {high}"
    return LedgerRow(
        item=summary.study.title,
        what=what,
        unit=summary.study.unit,
        ours=_scaled(found.mean, summary),
        seeds=tuple(result.run.seed for result in results),
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
    return round(100 * value if summary.study.unit == "%" else value, _DIGITS)


def _joined(values: Sequence[str | None]) -> str | None:
    known = sorted({value for value in values if value is not None})
    return ", ".join(known) or None
