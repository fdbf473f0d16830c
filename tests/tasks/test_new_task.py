"""A task that this file alone defines: the colour of every patch, with its own targets, metric and host-side measure.

It trains, accumulates, resumes and is evaluated by the loop that also trains classifiers, as a depth or segmentation
task would.
"""

import dataclasses
import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import PyTree

from gauss_vit.annotations import Annotated, Annotations
from gauss_vit.batches import Batch
from gauss_vit.metrics.metric import Sums
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.tasks.task import Examples, Records
from gauss_vit.train.checkpoint.reader import restore_params
from gauss_vit.train.config import Training
from gauss_vit.train.limits import Limits
from gauss_vit.train.loop import fit
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.program import make_program
from gauss_vit.train.run import Feed, Run
from gauss_vit.train.workdir.metrics_log import entries
from tests.train.bits import trace_of

SIDE, GRID, NUM_EVAL = 2, (2, 3), 21


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ColourTargets:
    """The mean colour of every patch in 0..1, and which patches are labelled."""

    colour: PyTree
    is_labelled: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SquaredError:
    """Sums over labelled patches."""

    total: PyTree
    num_patches: PyTree

    def merge(self, other: "SquaredError") -> "SquaredError":
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        return {"loss": float(self.total) / int(self.num_patches), "num_patches": int(self.num_patches)}


@dataclass(frozen=True, kw_only=True)
class ColourRegression:
    """The mean colour of every patch, by least squares over the labelled patches."""

    head = None
    num_classes = None
    targets = None

    def prepare(self, images, batch, *, key) -> Examples:
        del key
        measured = dataclasses.replace(batch, image=None)
        return Examples(image=images, targets=batch.targets, batch=measured)

    def loss(self, outputs, examples, *, key):
        del key
        sums = self.measure(outputs, examples.batch)
        return sums.total, sums.num_patches.astype(jnp.float32)

    def measure(self, outputs, batch) -> SquaredError:
        counts = batch.targets.is_labelled & batch.is_real[:, None, None]
        errors = jnp.sum(jnp.square(outputs - batch.targets.colour), axis=-1)
        return SquaredError(total=jnp.sum(jnp.where(counts, errors, 0)), num_patches=jnp.sum(counts, dtype=jnp.int32))

    def predict(self, outputs, batch):
        del batch
        return jnp.clip(outputs, 0, 1)

    def records(self, prediction, *, class_names, limit) -> Records:
        del class_names
        patches = list(np.ndindex(*prediction.shape[:2]))[:limit]
        items = ({"row": row, "column": column, "red": float(prediction[row, column, 0])} for row, column in patches)
        return Records(name="patches", items=tuple(items))

    def assessment(self, subset) -> "ErrorSums":
        assert subset is None
        return ErrorSums()

    def describe(self, values: Mapping[str, float]) -> str:
        return f"squared error {values['loss']:.3g}"


@dataclass(frozen=True)
class ErrorSums:
    """The task's metric, as a measure of its own."""

    def results(self, task, outputs, batch):
        return task.measure(outputs, batch)

    def collector(self, source: Annotated | None) -> Sums:
        assert source is None
        return Sums()


@dataclass(frozen=True)
class MedianError:
    """The median of the absolute errors, which no sum over batches gives."""

    def results(self, task, outputs, batch):
        return task.predict(outputs, batch), batch.targets, batch.is_real

    def collector(self, source: Annotated | None) -> "Errors":
        assert source is not None
        return Errors(source.truth())


class Errors:
    """Absolute errors of single patches, on the host, beside what the annotations of the split say."""

    def __init__(self, annotations: Annotations):
        self.values: list[np.ndarray] = []
        self.num_annotated = len(annotations["images"])

    def add(self, results) -> None:
        predictions, targets, is_real = results
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(results))
        counts = targets.is_labelled & is_real[:, None, None]
        self.values.append(np.abs(predictions - targets.colour)[counts])

    def compute(self) -> dict[str, float]:
        error = float(np.median(np.concatenate(self.values)))
        return {"median_error": error, "num_annotated": self.num_annotated}


class PatchLinear(nnx.Module):
    """A linear map of the pixels of every patch."""

    def __init__(self, *, key):
        self.kernel = nnx.Param(jax.random.normal(key, (SIDE * SIDE * 3, 3), jnp.float32) * 0.3)

    def __call__(self, images, *, key=None, targets=None):
        del key
        height, width = GRID
        patches = images.reshape(-1, height, SIDE, width, SIDE, 3).transpose(0, 1, 3, 2, 4, 5)
        return patches.reshape(-1, height, width, SIDE * SIDE * 3) @ self.kernel[...]


@dataclass(frozen=True)
class PatchLinearConfig:
    def make(self, key) -> PatchLinear:
        return PatchLinear(key=key)


OPTIMIZER = Optimizer(rule=AdamW(), learning_rate=0.02, weight_decay=0.0, schedule=Schedule(curve=Constant()))


@dataclass(frozen=True, kw_only=True)
class Regression:
    """The recipe of the run."""

    training: Training
    network: PatchLinearConfig = PatchLinearConfig()
    task: ColourRegression = ColourRegression()
    normalization: Normalization = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # noqa: RUF009
    evaluators: tuple[Evaluator, ...] = ()
    optimizer: Optimizer = OPTIMIZER
    mesh: MeshConfig = MeshConfig(data=4)  # noqa: RUF009
    limits: Limits = Limits()  # noqa: RUF009
    seed: int = 0

    def to_json(self) -> dict:
        return {"seed": self.seed, "training": dataclasses.asdict(self.training)}

    def with_defaults(self, recorded: Mapping) -> Mapping:
        return recorded


def batch_of(seed: int, size: int) -> Batch:
    random = np.random.default_rng(seed)
    height, width = GRID
    image = random.integers(256, size=(size, height * SIDE, width * SIDE, 3)).astype(np.uint8)
    colour = image.reshape(size, height, SIDE, width, SIDE, 3).mean(axis=(2, 4)) / 255
    targets = ColourTargets(colour=colour.astype(np.float32), is_labelled=random.random((size, *GRID)) < 0.6)
    return Batch(image=image, is_real=np.ones(size, bool), targets=targets)


def eval_batches(name: str) -> Iterator[Batch]:
    """Cuts another data set for every evaluator, the last batch short."""
    whole = batch_of({"eval": 10**6, "other": 10**6 + 1}[name], NUM_EVAL)
    for start in range(0, NUM_EVAL, 8):
        yield jax.tree.map(lambda leaf, start=start: leaf[start : start + 8], whole)


class Paintings:
    """The annotations of the other data set."""

    def truth(self) -> Annotations:
        return {"images": [{"id": index} for index in range(NUM_EVAL)], "categories": [], "annotations": []}


TRAINING = Training(
    batch_size=16,
    num_steps=40,
    eval_batch_size=8,
    log_every=10,
    checkpoint_every=10,
    best=Best(metric="other/median_error", mode="min"),
    keep_checkpoints=1,
    accumulate=2,
    ema_decay=0.5,
)


def run_in(workdir: Path) -> Run:
    recipe = Regression(training=TRAINING, evaluators=EVALUATORS)
    feed = Feed(
        train=lambda start: (batch_of(step, 16) for step in range(start, TRAINING.num_steps)),
        evaluation=eval_batches,
        digest=str,
        annotated=lambda name: {"other": Paintings()}.get(name),
    )
    return Run(workdir=workdir, recipe=recipe, program=PROGRAM, feed=feed)


EVALUATORS = tuple(
    Evaluator(name=name, every=every, measure=measure)
    for name, every, measure in (("eval", 10, ErrorSums()), ("other", 20, MedianError()))
)
PROGRAM = make_program(Regression(training=TRAINING, evaluators=EVALUATORS))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("regression")
    fit(run_in(workdir))
    return workdir


def test_it_learns_the_mean_over_labelled_patches(trained: Path):
    lines = [entry for entry in entries(trained / "metrics.jsonl") if entry["split"] == "eval"]
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert lines[-1]["loss"] < 0.3 * lines[0]["loss"]
    labelled = batch_of(10**6, NUM_EVAL).targets.is_labelled
    assert {line["num_patches"] for line in lines} == {labelled.sum()}


def test_both_evaluators_agree_with_numpy(trained: Path):
    kernel = np.asarray(restore_params(trained, PROGRAM.abstract.params).arrays["kernel"]).astype(np.float64)
    found = {entry["split"]: entry for entry in entries(trained / "metrics.jsonl") if entry["step"] == 40}
    errors = {}
    for name, seed in (("eval", 10**6), ("other", 10**6 + 1)):
        batch = batch_of(seed, NUM_EVAL)
        patches = batch.image.reshape(NUM_EVAL, 2, SIDE, 3, SIDE, 3).transpose(0, 1, 3, 2, 4, 5) / 255
        outputs = patches.reshape(NUM_EVAL, *GRID, -1) @ kernel
        clipped = outputs if name == "eval" else np.clip(outputs, 0, 1)
        errors[name] = (clipped - batch.targets.colour)[batch.targets.is_labelled]
    assert found["eval"]["loss"] == pytest.approx(np.square(errors["eval"]).sum(axis=-1).mean(), rel=1e-4)
    assert found["other"]["median_error"] == pytest.approx(np.median(np.abs(errors["other"])), rel=1e-4)
    assert found["other"]["ema_median_error"] != found["other"]["median_error"]


def test_collector_has_the_annotations_of_its_own_split(trained: Path):
    lines = [entry for entry in entries(trained / "metrics.jsonl") if entry["split"] == "other"]
    assert {line["num_annotated"] for line in lines} == {NUM_EVAL}


def test_best_checkpoint_has_the_lowest_collected_error(trained: Path):
    lines = [entry for entry in entries(trained / "metrics.jsonl") if entry["split"] == "other"]
    best = min(lines, key=lambda line: line["median_error"])["step"]
    assert (trained / "checkpoints" / "best").readlink() == Path(str(best))


@pytest.mark.parametrize("name", ["eval", "other"])
def test_run_that_is_stopped_in_an_evaluation_ends_with_the_same_bits(trained: Path, tmp_path: Path, name: str):
    run, calls = run_in(tmp_path), []

    def evaluation(asked: str) -> Iterator[Batch]:
        calls.append(asked)
        if asked == name and "other" in calls:
            os.kill(os.getpid(), signal.SIGTERM)
        return run.feed.evaluation(asked)

    with pytest.raises(SystemExit):
        fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, evaluation=evaluation)))
    lines = [(entry["step"], entry["split"]) for entry in entries(tmp_path / "metrics.jsonl")]
    assert lines[-1] == ((20, "eval") if name == "other" else (30, "train"))
    fit(run)
    assert trace_of(tmp_path)[:2] == trace_of(trained)[:2]
    assert trace_of(tmp_path)[2].leaves == trace_of(trained)[2].leaves


def test_progress_is_described_by_the_task(trained: Path):
    assert "[10/40] squared error " in (trained / "train.log").read_text()
    assert json.loads((trained / "config.json").read_text())["training"]["accumulate"] == 2
