"""The figures of a study, from its summary."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from gauss_vit.analysis.bootstrap import Band
from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.analysis.paired import Estimate
from gauss_vit.plots.comparison import MAX_FIELDS
from gauss_vit.plots.study import Bar, learned_figure, study_figure
from gauss_vit.studies.summary import Summary


def results_figure(summary: Summary) -> Figure:
    """Draws the arms and their differences."""
    study, scale = summary.study, summary.study.scale
    arms = [
        _bar(arm.name, [each.value for each in arm.results.values()], arm.estimate, arm.over_images, scale=scale)
        for arm in summary.arms
    ]
    differences = [
        _bar(each.arm, list(each.by_seed.values()), each.estimate, each.over_images, scale=scale)
        for each in summary.differences
    ]
    return study_figure(
        arms, differences, title=study.title, metric=study.metric, baseline=study.baseline, unit=study.unit
    )


def learned_numbers_figure(summary: Summary) -> Figure | None:
    """Draws what the position terms have learned over the layers; None where nothing was observed."""
    names = dict.fromkeys(name for arm in summary.arms for name in arm.learned)
    learned = {name: {arm.name: arm.learned[name] for arm in summary.arms if name in arm.learned} for name in names}
    return learned_figure(learned, title=f"{summary.study.title}: learned position terms")


def fields_to_compare(summary: Summary) -> tuple[MeasuredField, ...]:
    """Returns the mean receptive fields of the arms, the baseline first, and as many as one figure takes.

    Those of another size than the baseline's are left out, and all of them where it has none.
    """
    fields = {arm.name: arm.field for arm in summary.arms if arm.field is not None}
    baseline = fields.pop(summary.study.baseline, None)
    if baseline is None:
        return ()
    others = [field for field in fields.values() if field.values.shape == baseline.values.shape]
    return (baseline, *others)[:MAX_FIELDS]


def _bar(name: str, points: Sequence[float], found: Estimate, over_images: Band | None, *, scale: float) -> Bar:
    return Bar(
        name=name,
        points=tuple(scale * point for point in points),
        mean=scale * found.mean,
        over_seeds=_scaled(found.interval, scale),
        over_images=_scaled(over_images, scale),
    )


def _scaled(band: Band | None, scale: float) -> tuple[float, float] | None:
    return None if band is None else (scale * band.low, scale * band.high)
