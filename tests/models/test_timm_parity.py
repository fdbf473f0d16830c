"""The models equal timm's, on the same weights, in logits and in the gradient with respect to the image."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models import naming, timm_names
from gauss_vit.models.presets import PRESETS
from gauss_vit.models.vit import ViTConfig, abstract
from tests.models import deterministic

RECORDED = np.load(Path(__file__).with_name("timm_reference.npz"))
SAMPLE = 509


def timm_shapes(config: ViTConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of timm's state for a config, from our own abstract parameters."""
    _, target = abstract(config)
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), target)
    return {name: array.shape for name, array in naming.to_theirs(zeros, timm_names.vit_rules(config)).items()}


def deterministic_params(config: ViTConfig):
    """The weights that the recording used, in our tree."""
    tensors = {name: deterministic.tensor(name, shape) for name, shape in timm_shapes(config).items()}
    return naming.from_theirs(tensors, timm_names.vit_rules(config), abstract(config)[1])


@pytest.mark.parametrize("name", PRESETS)
def test_logits_and_input_gradients_equal_timms(name):
    config = PRESETS[name]
    graph, _ = abstract(config)

    def half_square(images, params):
        logits = nnx.merge(graph, params)(images)
        return jnp.sum(jnp.square(logits)) / 2, logits

    compute = jax.jit(jax.value_and_grad(half_square, has_aux=True))
    images = jnp.asarray(deterministic.image((1, 224, 224, 3)))
    (_, logits), gradient = compute(images, deterministic_params(config))

    # Logits are of order 1 to 10; the two programs round float32 differently.
    np.testing.assert_allclose(logits, RECORDED[f"{name}.logits"], atol=1e-4)
    norm = float(RECORDED[f"{name}.gradient_norm"])
    assert np.linalg.norm(gradient) == pytest.approx(norm, rel=1e-4)
    sampled = np.asarray(gradient).reshape(-1)[::SAMPLE]
    difference = np.linalg.norm(sampled - RECORDED[f"{name}.gradient"])
    assert difference < 1e-4 * np.linalg.norm(RECORDED[f"{name}.gradient"])
