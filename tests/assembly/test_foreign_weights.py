"""Weights of a folder: what is said beside them is taken over, and said; nothing differs in silence."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.assembly import named_model
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.safetensors_file import write
from tests.command_lines import invocation
from tests.models import deterministic
from tests.named_models import add_preset
from tests.networks import classifier
from tests.weights.hugging_face_models import VIT
from tests.weights.names.test_hugging_face_names import RECORDED, tensors_of

OURS = dataclasses.replace(VIT, norm_epsilon=1e-6)
CONFIG = {
    "model_type": "vit",
    "layer_norm_eps": 1e-12,
    "id2label": {str(index): f"class {index}" for index in range(5)},
}
IMAGES = {"image_mean": [0.4, 0.4, 0.4], "image_std": [0.2, 0.2, 0.2], "resample": 2}


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    add_preset(monkeypatch, "vit_tiny", OURS)


@pytest.fixture
def folder(tmp_path):
    tensors = {f"module.{name}": array for name, array in tensors_of("vit").items()}
    grids = {"vit.embeddings.position_embeddings": VIT.grid}
    write(tmp_path / "model.safetensors", tensors, metadata={"position_grids": json.dumps(grids)})
    return tmp_path


def named(*flags):
    return named_model.named_model(invocation(["position", "--out=O", "--model=vit_tiny", *flags]))


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"num_attention_heads": 3}, "num_heads is 3 there and 2 in the model"),
        ({"hidden_act": "quick_gelu"}, "mlp is quick_gelu there and gelu in the model"),
        ({"hidden_act": "relu"}, "mlp is relu there and gelu in the model"),
    ],
)
def test_a_folder_of_another_model_with_equal_shapes_is_refused(folder, stated, expected):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **stated}))
    with pytest.raises(CheckpointError, match=expected) as caught:
        named(f"--weights={folder}")
    assert caught.value.code == "CKPT-TREE"


def test_epsilon_classes_and_images_come_from_the_folder(folder, capsys):
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGES))
    model = named(f"--weights={folder}")
    said = capsys.readouterr().err
    assert "LayerNorm epsilon 1e-12 is taken from the config.json" in said and "the model's own is 1e-06" in said
    assert "crop 1, without keeping their proportions" in said and model.transform.stretches
    assert "the prefix module. is taken off every name" in said and "images are prepared as the files beside" in said
    assert model.config == VIT and model.class_names == tuple(f"class {index}" for index in range(5))
    assert model.normalization == Normalization(mean=(0.4,) * 3, std=(0.2,) * 3)
    assert (model.transform.crop_fraction, model.transform.interpolation) == (1.0, "bilinear")
    images = jnp.asarray(deterministic.image((2, *VIT.image_size, 3)))
    logits = jax.jit(nnx.merge(abstract(classifier(VIT))[0], model.params))(images)
    np.testing.assert_allclose(logits, RECORDED["vit.logits"], atol=2e-5)


def test_epsilon_that_nobody_knows_is_said(folder, capsys):
    model = named(f"--weights={folder}", "--head=fresh")
    assert "its LayerNorm epsilon is unknown: 1e-06 is used" in capsys.readouterr().err
    assert model.config == OURS and model.class_names == ()


@pytest.mark.parametrize("flag", ["--best", "--ema"])
def test_choices_among_the_weights_of_a_run_are_not_for_presets(flag):
    with pytest.raises(ConfigError, match=f"{flag} chooses among the weights of a run"):
        named(flag)
