"""Evaluation counts every example once, whatever their number, the batch and the mesh."""

import jax
import numpy as np
import pytest

from gauss_vit.errors import DataError
from gauss_vit.metrics.classification import ClassificationMetric
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import TaskMetric
from gauss_vit.train import mesh as meshes
from gauss_vit.train.evaluation import evaluate, pad
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.state import abstract_model, run_key
from gauss_vit.train.step import Forward, make_eval_step
from tests.train.toy import Toy, batch_of, build, eval_batches

NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
FORWARD = Forward(graph=abstract_model(build).graph, task=Classification(), normalization=NORMALIZATION)
BATCH_SIZE = 8


@pytest.fixture(scope="module", params=[(1, 1), (2, 1), (8, 1), (2, 4)], ids=str)
def evaluator(request: pytest.FixtureRequest):
    """Evaluates so many examples of the toy data on one mesh."""
    mesh = meshes.make(MeshConfig(data=request.param[0], fsdp=request.param[1]), jax.devices())
    model = Toy(key=run_key(0))
    params = {"kernel": model.kernel[...], "bias": model.bias[...], "amplitude": model.amplitude[...]}
    params = jax.device_put(params, meshes.tree_shardings(mesh, params))
    eval_step = make_eval_step(FORWARD, mesh=mesh, params=params, measure=TaskMetric())

    def run(num_examples: int, should_stop=lambda: False) -> ClassificationMetric | None:
        batches = eval_batches(num_examples, BATCH_SIZE)
        sums = TaskMetric().collector(None)
        is_complete = evaluate(
            eval_step, params, batches, collector=sums, mesh=mesh, batch_size=BATCH_SIZE, should_stop=should_stop
        )
        return sums.metric if is_complete else None

    run.params = jax.device_get(params)
    return run


def oracle(params: dict, num_examples: int) -> tuple[int, float]:
    """Counts in float64 numpy, all examples in one batch."""
    batch = batch_of(10**6, num_examples)
    pixels = (batch.image / 255 - 0.5) / 0.25
    flat = pixels.reshape(num_examples, -1) * params["amplitude"].astype(np.float64)
    logits = flat @ params["kernel"].astype(np.float64) + params["bias"]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_likelihood = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_likelihood[np.arange(num_examples), batch.targets.label].mean()
    return int((logits.argmax(axis=1) == batch.targets.label).sum()), float(loss)


def test_counts_are_exact_for_every_size(evaluator):
    for num_examples in range(1, 52):
        metric = evaluator(num_examples)
        num_correct, loss = oracle(evaluator.params, num_examples)
        assert (metric.num_examples, metric.num_top1) == (num_examples, num_correct)
        np.testing.assert_allclose(metric.compute()["loss"], loss, rtol=1e-4)  # float32 logits of about 10


def test_counts_have_64_bits(evaluator):
    assert {leaf.dtype for leaf in jax.tree.leaves(evaluator(9))} == {np.dtype("int64"), np.dtype("float64")}


def test_no_example_is_an_error_and_not_a_nan(evaluator):
    with pytest.raises(DataError, match="no example"):
        evaluator(0)


def test_interrupted_evaluation_has_no_result(evaluator):
    answers = iter([False, False, True])
    assert evaluator(40, lambda: next(answers)) is None


def test_padding_is_not_real_and_keeps_types():
    padded = pad(batch_of(0, 3), 8)
    assert padded.is_real.tolist() == [True] * 3 + [False] * 5
    assert (padded.image.shape, padded.image.dtype, padded.targets.label.dtype) == ((8, 4, 6, 3), np.uint8, np.int32)
    np.testing.assert_array_equal(padded.image[:3], batch_of(0, 3).image)


def test_whole_batch_is_left_alone():
    batch = batch_of(0, 8)
    assert pad(batch, 8) is batch
