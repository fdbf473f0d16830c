"""What the finished runs of a study say together: means of arms, and differences from the baseline within seeds."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Int64

from gauss_vit.analysis.bootstrap import Band
from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.analysis.paired import Estimate, estimate, image_band, times_right, within_seeds
from gauss_vit.errors import DataError
from gauss_vit.quantities import counted
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
      over_images: band of that mean over the choice of test images; None where single images are not known.
      num_diverged: number of its runs that diverged, which are in no number.
      learned: mean over seeds of what position terms learned, over layers, by TERM/NUMBER.
      half_mass_radius: mean radius in pixels of half of the receptive field; None where it was not observed.
      field: mean receptive field; None as well.
      seconds_per_step: median over seeds; None where it is not known.
    """

    name: str
    results: Mapping[int, RunResult]
    estimate: Estimate
    over_images: Band | None
    num_diverged: int
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
      over_images: band of that mean over the choice of test images; None where single images are not known.
      num_diverged: number of runs of both arms that diverged, whose seeds are left out.
    """

    arm: str
    by_seed: Mapping[int, float]
    estimate: Estimate
    over_images: Band | None
    num_diverged: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of a study.

    Attributes:
      plan: the study with its runs.
      arms: the arms that have finished runs, in the order of the study.
      differences: differences from the baseline of the other arms that share a seed with it.
      missing: names of runs that are not finished.
      diverged: names of runs that diverged, with the reason.
    """

    plan: Plan
    arms: tuple[ArmSummary, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    diverged: Mapping[str, str]

    @property
    def study(self) -> Study:
        """The study."""
        return self.plan.study

    @property
    def results(self) -> tuple[RunResult, ...]:
        """All finished runs."""
        return tuple(result for arm in self.arms for result in arm.results.values())


def summarize(
    plan: Plan, results: Sequence[RunResult], *, diverged: Mapping[str, str] = MappingProxyType({})
) -> Summary:
    """Summarises the finished runs of a study.

    Args:
      plan: the study.
      results: its finished runs.
      diverged: names of runs that diverged, with the reason.

    Raises:
      DataError: runs of one seed saw other data, or runs were measured on other images.
    """
    _check_comparable(results)
    by_arm = {
        arm.name: {result.run.seed: result for result in results if result.run.arm == arm.name}
        for arm in plan.study.arms
    }
    finished = {result.run.name for result in results}
    num_diverged = Counter(run.arm for run in plan.runs if run.name in diverged)
    first = plan.study.baseline
    baseline = by_arm[first]
    differences = [
        _difference(name, runs, baseline, num_diverged=num_diverged[name] + num_diverged[first])
        for name, runs in by_arm.items()
        if name != first and runs.keys() & baseline.keys()
    ]
    return Summary(
        plan=plan,
        arms=tuple(_arm(name, runs, num_diverged=num_diverged[name]) for name, runs in by_arm.items() if runs),
        differences=tuple(differences),
        missing=tuple(run.name for run in plan.runs if run.name not in finished | diverged.keys()),
        diverged=dict(diverged),
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


def _arm(name: str, runs: Mapping[int, RunResult], *, num_diverged: int) -> ArmSummary:
    results = list(runs.values())
    counts, speeds = _counts(results), [each.seconds_per_step for each in results if each.seconds_per_step]
    radii = [each.half_mass_radius for each in results if each.half_mass_radius is not None]
    return ArmSummary(
        name=name,
        results=runs,
        estimate=estimate([each.value for each in results]),
        over_images=None if counts is None else image_band(counts, num_runs=len(results)),
        num_diverged=num_diverged,
        learned=_mean_over_seeds([each.learned for each in results]),
        half_mass_radius=estimate(radii) if radii else None,
        field=mean_field([each.field for each in results if each.field is not None], title=name),
        seconds_per_step=statistics.median(speeds) if speeds else None,
    )


def _difference(
    name: str, runs: Mapping[int, RunResult], baseline: Mapping[int, RunResult], *, num_diverged: int
) -> Difference:
    mine, theirs = ({seed: result.value for seed, result in each.items()} for each in (runs, baseline))
    by_seed = within_seeds(mine, theirs)
    right, right_of_baseline = (_counts([each[seed] for seed in by_seed]) for each in (runs, baseline))
    is_known = right is not None and right_of_baseline is not None
    return Difference(
        arm=name,
        by_seed=by_seed,
        estimate=estimate(list(by_seed.values())),
        over_images=image_band(right - right_of_baseline, num_runs=len(by_seed)) if is_known else None,
        num_diverged=num_diverged,
    )


def _counts(results: Sequence[RunResult]) -> Int64[np.ndarray, " images"] | None:
    known = [each.is_right for each in results if each.is_right is not None]
    return times_right(known) if len(known) == len(results) else None


def _mean_over_seeds(learned: Sequence[Mapping[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
    """Averages the numbers that all runs have, of as many layers."""
    names = [name for name in learned[0] if len({len(each.get(name, ())) for each in learned}) == 1]
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
        claim = f"{difference.arm} and {baseline}: one seed, so that nothing can be claimed"
    elif interval.low == interval.high != 0:
        claim = f"{difference.arm} and {baseline}: equal differences in all seeds, so that nothing can be claimed"
    elif interval.low <= 0 <= interval.high:
        claim = f"{difference.arm} and {baseline}: no difference can be claimed"
    else:
        claim = f"{difference.arm} is {'above' if interval.low > 0 else 'below'} {baseline}"
    lost = difference.num_diverged
    return f"{claim}; {counted(lost, 'run')} of theirs diverged" if lost else claim
