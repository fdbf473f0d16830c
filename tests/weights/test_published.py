"""What is said beside weights is taken where it makes sense, and unknown where it does not."""

import json

import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.published import Published, published
from gauss_vit.weights.safetensors_file import write

TIMM = {
    "architecture": "vit_tiny_patch16_224",
    "num_classes": 2,
    "label_names": ["cat", "dog"],
    "pretrained_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3], "crop_pct": 0.8, "interpolation": "bilinear"},
}
HUGGING_FACE = {"model_type": "vit", "layer_norm_eps": 1e-12, "id2label": {"0": "cat", "1": "dog"}}
IMAGES = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.1, 0.2, 0.3],
    "resample": 2,
    "do_center_crop": True,
    "size": {"shortest_edge": 280},
    "crop_size": {"height": 224, "width": 224},
}
NORMALIZATION = Normalization(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "model.safetensors", {"a": np.zeros(1, np.float32)})
    return tmp_path


def test_folder_of_timm(folder):
    (folder / "config.json").write_text(json.dumps(TIMM))
    wanted = Published(
        path=folder / "model.safetensors",
        class_names=("cat", "dog"),
        num_classes=2,
        normalization=NORMALIZATION,
        crop_fraction=0.8,
        interpolation="bilinear",
    )
    assert published(folder) == published(folder / "model.safetensors") == wanted


@pytest.mark.parametrize(
    ("config", "num_heads", "activation"),
    [
        ({**TIMM, "architecture": "vit_base_patch32_clip_quickgelu_224"}, 12, "quick_gelu"),
        ({**TIMM, "model_args": {"num_heads": 6, "act_layer": "gelu_tanh"}}, 6, "gelu_tanh"),
        ({**TIMM, "architecture": "swin_tiny_patch4_window7_224"}, (3, 6, 12, 24), None),
        ({**TIMM, "architecture": "unheard_of", "model_args": {"num_heads": [1, "x"]}}, None, None),
        ({**TIMM, "architecture": ["x"], "model_args": [3]}, None, None),
        ({**HUGGING_FACE, "num_attention_heads": 3, "hidden_act": "gelu_pytorch_tanh"}, 3, "gelu_tanh"),
        ({**HUGGING_FACE, "model_type": "swin", "num_heads": [3, 6], "hidden_act": ["x"]}, (3, 6), None),
    ],
)
def test_heads_and_activation_are_those_of_the_arguments_or_of_the_name(folder, config, num_heads, activation):
    (folder / "config.json").write_text(json.dumps(config))
    found = published(folder)
    assert (found.num_heads, found.activation) == (num_heads, activation)


@pytest.mark.parametrize(("mode", "stretches"), [("squash", True), ("center", False), ("unheard of", None), (3, None)])
def test_crop_mode_of_timm_says_whether_images_are_stretched(folder, mode, stretches):
    images = {**TIMM["pretrained_cfg"], "crop_mode": mode}
    (folder / "config.json").write_text(json.dumps({**TIMM, "pretrained_cfg": images}))
    assert published(folder).stretches is stretches


def test_folder_of_hugging_face(folder):
    (folder / "config.json").write_text(json.dumps(HUGGING_FACE))
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGES))
    assert published(folder) == Published(
        path=folder / "model.safetensors",
        norm_epsilon=1e-12,
        class_names=("cat", "dog"),
        num_classes=2,
        normalization=NORMALIZATION,
        crop_fraction=0.8,
        interpolation="bilinear",
        stretches=False,
    )


def test_images_without_a_crop_are_stretched(folder):
    (folder / "config.json").write_text(json.dumps(HUGGING_FACE))
    size = {"size": {"height": 224, "width": 224}, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps({**IMAGES, **size}))
    found = published(folder)
    assert found.stretches and found.crop_fraction == 1.0


def test_default_labels_are_no_names(folder):
    (folder / "config.json").write_text(json.dumps({**HUGGING_FACE, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}))
    found = published(folder)
    assert (found.class_names, found.num_classes) == ((), 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "[1]",
        '{"model_type": 3, "layer_norm_eps": -1, "id2label": {"0": 1}}',
        '{"model_type": "vit", "layer_norm_eps": "x", "id2label": [3]}',
        '{"pretrained_cfg": 3, "num_classes": true, "label_names": {"a": 1}}',
        '{"pretrained_cfg": {"mean": [1, 2, 3], "std": [0, 0, 0], "crop_pct": 7, "interpolation": ["x"]}}',
    ],
)
def test_nonsense_is_unknown(text, folder):
    (folder / "config.json").write_text(text)
    assert published(folder) == Published(path=folder / "model.safetensors")


def test_folder_without_weights_is_refused_and_with_a_pickle_too(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        published(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="is a pickle") as caught:
        published(tmp_path)
    assert str(tmp_path / "model.safetensors") in caught.value.do
