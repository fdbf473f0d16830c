"""The classification task joins loss and metric to a batch."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import ClassificationBatch
from gauss_vit.errors import ConfigError
from gauss_vit.ops.losses import cross_entropy
from gauss_vit.tasks.classification import Classification

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
BATCH = ClassificationBatch(
    image=jnp.zeros((4, 2, 2, 3), jnp.uint8),
    label=jnp.asarray([0, 1, 2, 0], jnp.int32),
    is_real=jnp.asarray([True, True, True, False]),
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_real_examples(smoothing):
    losses = cross_entropy(LOGITS, BATCH.label, label_smoothing=smoothing)
    loss = Classification(label_smoothing=smoothing).loss(LOGITS, BATCH)
    assert float(loss) == pytest.approx(float(jnp.mean(losses[:3])), rel=1e-6)


def test_measured_loss_is_not_smoothed():
    values = Classification(label_smoothing=0.3).metric(LOGITS, BATCH).compute()
    assert values["loss"] == pytest.approx(float(jnp.mean(cross_entropy(LOGITS, BATCH.label)[:3])), rel=1e-6)
    assert values["num_examples"] == 3


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="label_smoothing"):
        Classification(label_smoothing=1.0)
