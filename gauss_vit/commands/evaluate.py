"""`evaluate`: the metrics of a run's newest checkpoint on the whole evaluation split, with exact counts."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import PyTree

from gauss_vit.annotations import annotated
from gauss_vit.assembly import feeds, named_model
from gauss_vit.assembly.device import experiment_here
from gauss_vit.assembly.evaluation_data import chosen_names, open_source, warn_of_absent_classes
from gauss_vit.assembly.resolutions import Resolution, resolutions
from gauss_vit.assembly.selection import selection
from gauss_vit.command_line.console import ReaderGoneError, say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.config.schema import JsonValue
from gauss_vit.data.examples import Source
from gauss_vit.distributed import processes
from gauss_vit.errors import DataError, StorageError
from gauss_vit.experiment import Experiment
from gauss_vit.inspect.detection_results import detection_summary, write_detections
from gauss_vit.inspect.evaluation_results import RESULT, summary, values, write_confusion, write_predictions
from gauss_vit.metrics.by_image import AssessedImages, ImagePredictions
from gauss_vit.metrics.class_report import ClassReport
from gauss_vit.metrics.class_subsets import CLASS_SUBSETS, ClassSubset
from gauss_vit.metrics.detection_report import DetectionReport
from gauss_vit.metrics.metric import Collector, Sums
from gauss_vit.models import construct
from gauss_vit.tasks.task import Measure
from gauss_vit.train import evaluation, mesh
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.step import Forward, make_eval_step
from gauss_vit.train.waits import Waits, watched
from gauss_vit.train.workdir import lock
from gauss_vit.waiting import announced

RESOLUTIONS = "resolutions.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured.

    Attributes:
      result: step, data set, split and metrics, for JSON; a metric that is not finite is None.
      report: the counts by class, or the detections; None of a task that has neither.
      class_names: of the classes in question, in the order of the report.
      predictions: the class that is predicted for each image; None of a task that predicts something else.
    """

    result: dict[str, JsonValue]
    report: ClassReport | DetectionReport | None
    class_names: tuple[str, ...]
    predictions: ImagePredictions | None


def run(invocation: Invocation) -> None:
    """Writes a table, and one JSON object to the last line of standard output and to `evaluation.json` in the workdir.

    What is measured is the task's own assessment. Of a task with classes the confusion matrix is written beside it, as
    `confusion.npz`, `confusion.csv` and `confusion.png`, the accuracy of every class, and its IoU where pixels are
    classified, as `classes.csv`, and the confused pairs of classes as `confused_pairs.csv`; of a classifier also the
    class of every image, as `predictions.npz`. Of a detector it is the average precision of every class, as
    `classes.csv`, and all detections, as `coco_results.json`. `--config`, such as `--config=W/config.json
    --config.data.eval_split=test`, replaces the run's own config; `--best` measures the checkpoint that was best while
    training (the paper's choice, with that split), `--ema` the moving average, `--subset` among the classes of
    ImageNet-A or ImageNet-R alone.

    `--image_sizes`, with or without `--crop`, measures at each of these sizes, with positions resampled: a line each on
    standard output, all of them in `resolutions.json`, and nothing else.

    Raises:
      ConfigError: the run keeps no average, the subset is unknown or does not fit, or the model cannot take a size.
      CheckpointError: no checkpoint verifies, or it does not fit the config.
      DataError: the data set is missing or damaged.
      StorageError: the workdir cannot be written; the result is on standard output all the same.
    """
    folder = invocation.path("workdir")
    experiment = experiment_here(invocation.experiment or named_model.run_experiment(folder))
    chosen = selection(invocation, folder, experiment)
    measure = functools.partial(
        evaluate_run,
        folder,
        experiment,
        which=chosen.which,
        # The link to the best one may move between two readers.
        step=processes.gather("the chosen checkpoint", chosen.step, limit=experiment.limits.start)[0],
        subset=invocation.text("subset") if invocation.is_given("subset") else None,
    )
    if invocation.is_given("image_sizes") or invocation.is_given("crop"):
        asked = asked_resolutions(invocation, experiment)
        _run_resolutions(measure, folder, asked, limit=experiment.limits.observe)
        return
    evaluated = measure()

    def write() -> None:
        _write_report(folder, evaluated)
        # Last: whoever finds it finds the others too.
        lock.write_json(folder / RESULT, evaluated.result)

    try:
        for line in (*_lines(evaluated), json.dumps(evaluated.result)):
            say(line)
    finally:
        processes.on_first("the results", write, limit=experiment.limits.observe)


def _lines(evaluated: Evaluation) -> list[str]:
    """Formats what was measured: by class where there are classes."""
    result, report, names = evaluated.result, evaluated.report, evaluated.class_names
    if isinstance(report, ClassReport):
        return summary(result, report, class_names=names)
    return values(result) if report is None else detection_summary(result, report, class_names=names)


def _write_report(folder: Path, evaluated: Evaluation) -> None:
    """Writes the tables by class, and the detections."""
    report, names = evaluated.report, evaluated.class_names
    if isinstance(report, ClassReport):
        write_confusion(folder, evaluated.result, report, class_names=names)
    elif report is not None:
        write_detections(folder, report, class_names=names)
    if evaluated.predictions is not None:
        write_predictions(folder, evaluated.predictions)


def asked_resolutions(invocation: Invocation, experiment: Experiment) -> tuple[Resolution, ...]:
    """Reads `--image_sizes` and `--crop`, and makes sure that the model takes them all.

    Raises:
      ConfigError: it does not.
    """
    asked = resolutions(
        experiment,
        sizes=invocation.text("image_sizes") if invocation.is_given("image_sizes") else None,
        crop=float(invocation.text("crop")) if invocation.is_given("crop") else None,
    )
    for resolution in asked:
        resolution.of(experiment)
    return asked


def _run_resolutions(
    measure: Callable[..., Evaluation], folder: Path, asked: Sequence[Resolution], *, limit: float
) -> None:
    """Measures at every resolution, and says and keeps a line each, whoever reads them."""
    rows: list[JsonValue] = []
    unsaid: list[Exception] = []
    for resolution in asked:
        seen: dict[str, JsonValue] = {"image_size": list(resolution.image_size), "crop": resolution.crop_fraction}
        rows.append(seen | measure(resolution=resolution).result)
        try:
            say(json.dumps(rows[-1]))
        except (ReaderGoneError, StorageError) as error:
            unsaid.append(error)
    processes.on_first("the results", lambda: lock.write_json(folder / RESOLUTIONS, {"resolutions": rows}), limit=limit)
    if unsaid:
        raise unsaid[0]


def evaluate_run(
    folder: Path,
    experiment: Experiment,
    *,
    which: reader.Weights = "params",
    step: int | None = None,
    subset: str | None = None,
    resolution: Resolution | None = None,
) -> Evaluation:
    """Measures the newest checkpoint that verifies.

    Args:
      folder: the workdir.
      experiment: of the run.
      which: the parameters of the last update, or their moving average.
      step: the only checkpoint that will do; None is the newest.
      subset: name of the classes to choose among; None is all.
      resolution: how images are shown; None is as the experiment says.
    """
    devices = mesh.make(mesh.MeshConfig(), jax.devices())
    shown = experiment if resolution is None else resolution.of(experiment)
    graph, abstract = construct.abstract(shown.network)
    abstract = mesh.with_shardings(devices, abstract)
    with watched(folder, experiment.limits) as waits:
        with waits.restoring():
            restored = named_model.restore(folder, abstract, config=shown.model, which=which, step=step)
        source = open_source(experiment, subset, trained_on=restored.record.trained_on)
        chosen = None if subset is None else ClassSubset(indices=CLASS_SUBSETS[subset], num_labels=source.num_classes)
        assessment, names = shown.task.assessment(chosen), chosen_names(source, chosen)
        with announced("evaluating"):
            found = _measure(
                shown,
                graph,
                params=restored.arrays,
                source=source,
                assessment=assessment,
                devices=devices,
                waits=waits,
            )
    data = experiment.data
    try:
        computed = found.compute()
    except ValueError as error:
        message = f"nothing in {data.name} {data.eval_split} can be measured: {error}"
        raise DataError(
            message, do="choose another split or subset, or check the weights", code="DATA-EMPTY"
        ) from error
    report = _report(found)
    if report is not None:
        warn_of_absent_classes(report, names)
    metrics = {name: value if math.isfinite(value) else None for name, value in computed.items()}
    choices = {name: value for name, value in (("weights", which), ("subset", subset)) if value not in ("params", None)}
    return Evaluation(
        result={"step": restored.step, "data": data.name, "split": data.eval_split, **choices, **metrics},
        report=report,
        class_names=names,
        predictions=found.predictions() if isinstance(found, AssessedImages) else None,
    )


def _measure(
    experiment: Experiment,
    graph: nnx.GraphDef,
    *,
    params: PyTree,
    source: Source,
    assessment: Measure,
    devices: Mesh,
    waits: Waits,
) -> Collector:
    """Collects what is measured over the split, in batches that divide among the devices."""
    forward = Forward(graph=graph, task=experiment.task, normalization=experiment.normalization)
    batch_size = -(-experiment.training.eval_batch_size // devices.size) * devices.size
    collector = assessment.collector(annotated(source))
    batches = feeds.eval_batches(experiment, source, batch_size=batch_size, share=mesh.share_of_process(devices))
    evaluation.evaluate(
        make_eval_step(forward, mesh=devices, params=params, measure=assessment),
        params,
        waits.measured(batches, of=experiment.data.eval_split),
        collector=collector,
        mesh=devices,
        batch_size=batch_size,
        should_stop=lambda: False,
    )
    return collector


def _report(collector: Collector) -> ClassReport | DetectionReport | None:
    """Returns what was collected if there are tables for it."""
    found = collector.metric if isinstance(collector, Sums | AssessedImages) else collector
    return found if isinstance(found, ClassReport | DetectionReport) else None
