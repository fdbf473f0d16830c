"""What the finished runs of a study say together: means of arms, and differences from the baseline within seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from gauss_vit.analysis.bootstrap import Band
from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.analysis.paired import Estimate, estimate, image_band, times_right
from gauss_vit.errors import DataError
from gauss_vit.studies.execution import Failure
from gauss_vit.studies.plan import Plan
from gauss_vit.studies.run_result import RunResult
from gauss_vit.studies.study import Study


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """The runs of an arm.

    Attributes:
      name: name of the arm.
      results: its finished runs, by seed.
      estimate: mean of the metric over seeds.
      images: band of that mean over the choice of test images; None where single images are not known.
      learned: mean over seeds of what position terms learned, over layers, by TERM/NUMBER.
      half_mass_radius: mean radius in pixels of half of the receptive field; None where it was not observed.
      field: mean receptive field; None as well.
      seconds_per_step: median over seeds; None where it is not known.
    """

    name: str
    results: Mapping[int, RunResult]
    estimate: Estimate
    images: Band | None
    learned: Mapping[str, tuple[float, ...]]
    half_mass_radius: Estimate | None
    field: MeasuredField | None
    seconds_per_step: float | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference of an arm from the baseline, within seeds.

    Attributes:
      arm: name of the arm.
      by_seed: difference of the metric for each seed that both have.
      estimate: mean of the differences.
      images: band of that mean over the choice of test images; None where single images are not known.
    """

    arm: str
    by_seed: Mapping[int, float]
    estimate: Estimate
    images: Band | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of a study.

    Attributes:
      plan: the study with its runs.
      arms: the arms that have finished runs, in the order of the study.
      differences: differences from the baseline of the other arms that share a seed with it.
      missing: names of runs that are not finished.
      failures: runs that diverged.
    """

    plan: Plan
    arms: tuple[ArmSummary, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def study(self) -> Study:
        """The study."""
        return self.plan.study

    @property
    def results(self) -> tuple[RunResult, ...]:
        """All finished runs."""
        return tuple(result for arm in self.arms for result in arm.results.values())


def summarize(plan: Plan, results: Sequence[RunResult], *, failures: Sequence[Failure] = ()) -> Summary:
    """Summarises the finished runs of a study.

    Raises:
      DataError: runs of one seed saw other data, or runs were measured on other images.
    """
    _check_comparable(results)
    by_arm = {
        arm.name: {result.run.seed: result for result in results if result.run.arm == arm.name}
        for arm in plan.study.arms
    }
    finished, failed = {result.run.name for result in results}, {failure.name for failure in failures}
    baseline = by_arm[plan.study.baseline]
    differences = [
        _difference(name, runs, baseline)
        for name, runs in by_arm.items()
        if name != plan.study.baseline and runs.keys() & baseline.keys()
    ]
    return Summary(
        plan=plan,
        arms=tuple(_arm(name, runs) for name, runs in by_arm.items() if runs),
        differences=tuple(differences),
        missing=tuple(run.name for run in plan.runs if run.name not in finished | failed),
        failures=tuple(failures),
    )


def _check_comparable(results: Sequence[RunResult]) -> None:
    orders: dict[int, RunResult] = {}
    for result in results:
        first = orders.setdefault(result.run.seed, result)
        if (first.order, first.run.experiment.data.name) != (result.order, result.run.experiment.data.name):
            raise DataError(
                f"{first.run.name} and {result.run.name} saw other data, or the same in another order",
                do="give all arms of a study the same data, batch size and length",
            )
    labels = [result.label for result in results if result.label is not None]
    if any(not np.array_equal(label, labels[0]) for label in labels[1:]):
        raise DataError("runs were measured on other test images", do="remove their evaluation.json and run again")


def _arm(name: str, runs: Mapping[int, RunResult]) -> ArmSummary:
    results = list(runs.values())
    counts, speeds = _counts(results), [each.seconds_per_step for each in results if each.seconds_per_step]
    radii = [each.half_mass_radius for each in results if each.half_mass_radius is not None]
    return ArmSummary(
        name=name,
        results=runs,
        estimate=estimate([each.value for each in results]),
        images=None if counts is None else image_band(counts, num_runs=len(results)),
        learned=_mean_over_seeds([each.learned for each in results]),
        half_mass_radius=estimate(radii) if radii else None,
        field=mean_field([each.field for each in results if each.field is not None], title=name),
        seconds_per_step=statistics.median(speeds) if speeds else None,
    )


def _difference(name: str, runs: Mapping[int, RunResult], baseline: Mapping[int, RunResult]) -> Difference:
    seeds = sorted(runs.keys() & baseline.keys())
    by_seed = {seed: runs[seed].value - baseline[seed].value for seed in seeds}
    mine, theirs = (_counts([each[seed] for seed in seeds]) for each in (runs, baseline))
    return Difference(
        arm=name,
        by_seed=by_seed,
        estimate=estimate(list(by_seed.values())),
        images=None if mine is None or theirs is None else image_band(mine - theirs, num_runs=len(seeds)),
    )


def _counts(results: Sequence[RunResult]) -> Int64[np.ndarray, " images"] | None:
    known = [each.is_right for each in results if each.is_right is not None]
    return times_right(known) if len(known) == len(results) else None


def _mean_over_seeds(learned: Sequence[Mapping[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
    names = [name for name in learned[0] if all(name in each for each in learned)]
    return {
        name: tuple(estimate(list(values)).mean for values in zip(*(each[name] for each in learned), strict=True))
        for name in names
    }


def mean_field(fields: Sequence[MeasuredField], *, title: str) -> MeasuredField | None:
    """Averages the receptive fields of several runs; None for none."""
    if not fields:
        return None
    return replace(
        fields[0],
        title=title,
        values=np.mean([field.values for field in fields], axis=0),
        radial_mass=np.mean([field.radial_mass for field in fields], axis=0),
        radial_band=None,
    )


def verdict(difference: Difference, *, baseline: str) -> str:
    """Says what can be claimed: nothing beyond the t interval."""
    interval = difference.estimate.interval
    if interval is None:
        return f"{difference.arm} and {baseline}: one seed, so that nothing can be claimed"
    if interval.low <= 0 <= interval.high:
        return f"{difference.arm} and {baseline}: no difference can be claimed"
    return f"{difference.arm} is {'above' if interval.low > 0 else 'below'} {baseline}"
