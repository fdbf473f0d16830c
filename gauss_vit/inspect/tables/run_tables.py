"""Tables about runs: accuracies with and without the Gaussian, averaged over runs that differ in their seed alone."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gauss_vit.config.schema import JsonValue
from gauss_vit.experiment import Experiment
from gauss_vit.inspect.tables import published
from gauss_vit.inspect.tables.accuracy import evaluation_of
from gauss_vit.inspect.tables.sources import Source, architecture
from gauss_vit.inspect.tables.table import NOT_RUN, PAPER, Cell, Row, Table, row_of
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train.workdir.metrics_log import LINES, OBSERVE, TRAIN, entries

Arm = Literal["without", "with", "per head"]
"""No Gaussian, one a layer, or one a head."""

Number = float | None
_DENSE = {"APbox": "bbox_AP", "APmask": "segm_AP", "mIoU": "miou", "aAcc": "aacc"}
_TEST_NOTE = "Test accuracies are what `gauss-vit evaluate --best` with data.eval_split=test wrote."


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run measured of itself.

    Attributes:
      model: Name of its architecture.
      data: Name of its data.
      arm: Which Gaussian it has.
      logged: Metrics of its best evaluation while it trained, or of the last one if it has no rule for the best.
      eval_split: Split that the run evaluates while it trains.
      evaluated: What `evaluate` measured of all classes of its data; empty if it did not run.
    """

    model: str
    data: str
    arm: Arm
    logged: Mapping[str, JsonValue]
    eval_split: str
    evaluated: Mapping[str, JsonValue]

    def validation(self, name: str) -> Number:
        """Returns a metric in per cent on the split that the run evaluates while it trains."""
        return _percent(self.logged.get(name))

    def test(self, name: str) -> Number:
        """Returns a metric in per cent on a test split."""
        is_test = str(self.evaluated.get("split", "")).startswith("test")
        return _percent(self.evaluated.get(name)) if is_test else None

    def any(self, name: str) -> Number:
        """Returns a metric in per cent on the run's own split, as `evaluate` measured it, or else as it was logged."""
        is_own = self.evaluated.get("split") == self.eval_split
        found = _percent(self.evaluated.get(name)) if is_own else None
        return self.validation(name) if found is None else found


def read_run(source: Source) -> RunRecord:
    """Reads the record of a run.

    Raises:
      ConfigError: the source is not a run.
    """
    experiment = source.experiment()
    workdir = source.workdir
    return RunRecord(
        model=architecture(experiment.model),
        data=published.data_name(experiment.data),
        arm=_arm(experiment),
        logged={} if workdir is None else _logged(experiment, list(entries(workdir / LINES))),
        eval_split=experiment.data.eval_split,
        evaluated={} if workdir is None else _of_own_data(experiment, evaluation_of(workdir)),
    )


def _of_own_data(experiment: Experiment, evaluated: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Leaves out what `evaluate` measured of other data, or of some classes alone."""
    is_own = evaluated.get("data") == experiment.data.name and "subset" not in evaluated
    return evaluated if is_own else {}


def _arm(experiment: Experiment) -> Arm:
    found = [term for term in experiment.model.position.all_terms if isinstance(term, Gaussian)]
    if not found:
        return "without"
    return "per head" if found[0].per_head else "with"


def _logged(experiment: Experiment, lines: Sequence[Mapping[str, JsonValue]]) -> Mapping[str, JsonValue]:
    """Finds the best evaluation by the run's own rule, the earlier of equal ones; without a rule, the last one."""
    best = experiment.training.best
    wanted = None if best is None else best.evaluator
    found = [line for line in lines if line["split"] not in (TRAIN, OBSERVE) and wanted in (None, line["split"])]
    if best is None:
        return found[-1] if found else {}
    ranked = [line for line in found if isinstance(line.get(best.metric), float | int)]
    if not ranked:
        return {}
    choose = max if best.mode == "max" else min
    return choose(ranked, key=lambda line: float(str(line[best.metric])))


def _percent(value: JsonValue) -> Number:
    return 100 * float(value) if isinstance(value, float | int) else None


def accuracy_table(sources: Sequence[Source], *, name: Literal["2", "3"]) -> Table:
    """Compares top-1 without and with the Gaussian, on the validation (table 2) or the test split (table 3).

    Raises:
      ConfigError: a source is not a run.
    """
    runs, is_test = [read_run(source) for source in sources], name == "3"
    rows: list[Row] = []
    for model, data in dict.fromkeys((run.model, run.data) for run in runs):
        arms = {
            arm: _known([run.test("top1") if is_test else run.any("top1") for run in _of(runs, model, data, arm)])
            for arm in ("without", "with")
        }
        keys = (model, data, " + ".join(str(len(numbers)) for numbers in arms.values()))
        rows.append(Row(keys=keys, cells=_compared(arms["without"], arms["with"])))
        stated = _stated_accuracy(name, model=model, data=data)
        rows += [] if stated is None else [_stated_row((model, data, "3 + 3"), stated)]
    split = "test split" if is_test else "validation split"
    return Table(
        name=name,
        title=f"Top-1 in per cent on the {split}, without and with the Gaussian; means over runs",
        key_heads=("model", "data", "runs"),
        heads=("without", "sd without", "with", "sd with", "difference"),
        rows=tuple(rows),
        notes=(_TEST_NOTE,) if is_test else (),
    )


def _compared(without: Sequence[float], with_gaussian: Sequence[float]) -> tuple[Cell, ...]:
    both = bool(without and with_gaussian)
    difference = statistics.fmean(with_gaussian) - statistics.fmean(without) if both else None
    return (*_mean(without), *_mean(with_gaussian), Cell(value=difference))


def _mean(numbers: Sequence[float]) -> tuple[Cell, Cell]:
    """Returns the mean over runs, and their standard deviation, which takes two of them."""
    mean = Cell(value=statistics.fmean(numbers)) if numbers else Cell()
    if len(numbers) < 2:
        return mean, Cell(missing="one run" if numbers else NOT_RUN)
    return mean, Cell(value=statistics.stdev(numbers))


def _stated_accuracy(name: str, *, model: str, data: str) -> published.Numbers | None:
    size = published.SIZES.get(model, "")
    if name == "2":
        return published.FROM_SCRATCH.get(size) if data == "imagenet2012" else None
    return published.FINE_TUNED.get(size, {}).get(data)


def _stated_row(keys: tuple[str, ...], stated: published.Numbers) -> Row:
    without, with_gaussian = stated
    values = (without, None, with_gaussian, None, with_gaussian - without)
    return row_of(keys, values, origin=PAPER, missing="not given")


def head_table(sources: Sequence[Source]) -> Table:
    """Compares runs without a Gaussian, with one a layer and with one a head (table 4 of the supplement).

    Raises:
      ConfigError: a source is not a run.
    """
    runs = [read_run(source) for source in sources]
    rows: list[Row] = []
    for model, data in dict.fromkeys((run.model, run.data) for run in runs):
        for split in ("validation", "test"):
            numbers = [_known([_on(run, split) for run in _of(runs, model, data, arm)]) for arm in _ARMS]
            rows.append(row_of((model, data, split), [statistics.fmean(each) if each else None for each in numbers]))
            stated = published.BY_HEAD.get(data, {}).get(split) if published.SIZES.get(model) == "S" else None
            rows += [] if stated is None else [row_of((model, data, split), stated, origin=PAPER)]
    return Table(
        name="s4",
        title="Top-1 in per cent without a Gaussian, with one a layer, and with one a head; means over runs",
        key_heads=("model", "data", "split"),
        heads=("baseline", "head-shared", "head-wise"),
        rows=tuple(rows),
        notes=(_TEST_NOTE,),
    )


_ARMS: tuple[Arm, ...] = ("without", "with", "per head")


def _on(run: RunRecord, split: str) -> Number:
    return run.test("top1") if split == "test" else run.validation("top1")


def dense_table(sources: Sequence[Source]) -> Table:
    """Compares detection and segmentation without and with the Gaussian (table 4).

    Raises:
      ConfigError: a source is not a run.
    """
    runs = [read_run(source) for source in sources]
    rows: list[Row] = []
    for model in dict.fromkeys(run.model for run in runs):
        for arm in _ARMS:
            found = [run for run in runs if (run.model, run.arm) == (model, arm)]
            numbers = [_known([run.any(metric) for run in found]) for metric in _DENSE.values()]
            values = [statistics.fmean(each) if each else None for each in numbers]
            rows += [row_of((model, arm), values)] if found or arm != "per head" else []
            is_stated = model == "swin_small_patch4_window7_224" and arm in published.DENSE
            rows += [row_of((model, arm), published.DENSE[arm], origin=PAPER)] if is_stated else []
    data = ", ".join(dict.fromkeys(run.data for run in runs))
    return Table(
        name="4",
        title="Box and mask AP, mIoU and pixel accuracy in per cent, without and with the Gaussian; means over runs",
        key_heads=("model", "Gaussian"),
        heads=tuple(_DENSE),
        rows=tuple(rows),
        notes=(f"Data of the runs: {data}. The paper's are COCO 2017 for AP and ADE20K for the others.",),
    )


def _of(runs: Sequence[RunRecord], model: str, data: str, arm: str) -> list[RunRecord]:
    return [run for run in runs if (run.model, run.data, run.arm) == (model, data, arm)]


def _known(numbers: Sequence[Number]) -> list[float]:
    return [number for number in numbers if number is not None]
