"""Files in Hugging Face's names give the logits of Hugging Face's models."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.construct import abstract
from gauss_vit.weights.names import hugging_face_names, naming
from gauss_vit.weights.names.name_tables import hugging_face_rules
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.models import deterministic
from tests.models.built import build
from tests.networks import classifier, network_params
from tests.weights.hugging_face_models import CONFIGS, VIT

RECORDED = np.load(Path(__file__).parents[1] / "hugging_face_reference.npz")


def tensors_of(name: str) -> dict[str, np.ndarray]:
    shapes = [tuple(int(size) for size in shape.split("x")) for shape in RECORDED[f"{name}.shapes"]]
    names = [str(each) for each in RECORDED[f"{name}.names"]]
    return {each: deterministic.tensor(each, shape) for each, shape in zip(names, shapes, strict=True)}


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal_hugging_faces(name, tmp_path):
    config = CONFIGS[name]
    write(tmp_path / "model.safetensors", tensors_of(name))
    grid = config.stages()[0].window
    imported = load_weights(tmp_path / "model.safetensors", classifier(config), source_grid=grid)
    assert (imported.table, imported.resampled, imported.fresh) == ("hugging_face", (), ())
    model = nnx.merge(abstract(classifier(config))[0], jax.tree.map(jnp.asarray, imported.params))
    logits = jax.jit(model)(jnp.asarray(deterministic.image((2, *config.image_size, 3))))
    # Logits are of order 1; the two programs round float32 differently.
    np.testing.assert_allclose(logits, RECORDED[f"{name}.logits"], atol=2e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_there_and_back_is_the_identity(name):
    config, tensors = CONFIGS[name], tensors_of(name)
    params = naming.from_theirs(tensors, hugging_face_rules(classifier(config)), abstract(classifier(config))[1])
    restored = naming.to_theirs(params, hugging_face_rules(classifier(config)))
    assert set(restored) == set(tensors)
    for key, array in tensors.items():
        np.testing.assert_array_equal(restored[key], array)


def test_query_key_and_value_are_thirds_of_one_kernel():
    params = network_params(VIT)
    tensors = naming.to_theirs(params, hugging_face_names.vit_rules(VIT))
    kernel = params["backbone"]["blocks"]["attention"]["query_key_value"]["kernel"]
    for index, part in enumerate(("query", "key", "value")):
        weight = tensors[f"vit.encoder.layer.2.attention.attention.{part}.weight"]
        np.testing.assert_array_equal(weight, kernel[2][:, 24 * index : 24 * (index + 1)].T)


def test_distillation_token_takes_part_but_is_not_read():
    config = CONFIGS["deit"]
    model = build(classifier(config), jax.random.key(0))
    features = model.backbone.features(jnp.zeros((1, 32, 32, 3), jnp.float32))
    assert features.prefix.shape == (1, 2, 24)
    np.testing.assert_array_equal(features.pooled, features.prefix[:, 0])
    params = nnx.to_pure_dict(nnx.state(model))
    params["backbone"]["distillation_token"] = jnp.arange(24.0, dtype=jnp.float32).reshape(1, 1, 24)
    changed = nnx.merge(abstract(classifier(config))[0], params)
    images = jnp.ones((1, 32, 32, 3), jnp.float32)
    assert not np.allclose(changed(images), model(images))
