"""The JSON files that transformers reads say what the model is; models that transformers lacks are refused by reason.

`python -m tests.weights.load_elsewhere` loads such folders with transformers itself.
"""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.distilled import DistilledHead
from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.presets.swin import SWIN_TINY, SWINV2_SMALL
from gauss_vit.models.presets.vit import BEIT_BASE, DEIT3_SMALL, DEIT_TINY_DISTILLED, RELPOS_SMALL, VIT_SMALL
from gauss_vit.weights.export.hugging_face_folder import check_has_counterpart, hugging_face_config, preprocessor_config
from gauss_vit.weights.export.timm_call import timm_model
from gauss_vit.weights.export.timm_folder import timm_config
from tests.weights.hugging_face_models import VIT
from tests.weights.test_file_metadata import ORIGIN


def network(backbone, head=None):
    return NetworkConfig(backbone=backbone, head=head or LinearHead(num_classes=5))


def test_config_of_a_vit():
    config = hugging_face_config(network(VIT), ORIGIN)
    wanted = {
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "image_size": [32, 48],
        "patch_size": 8,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 96,
        "layer_norm_eps": 1e-12,
        "qkv_bias": True,
        "id2label": {"0": "cat", "1": "a dog", "2": "café", "3": "d", "4": "e"},
        "label2id": {"cat": 0, "a dog": 1, "café": 2, "d": 3, "e": 4},
    }
    assert wanted.items() <= config.items()


def test_hidden_channels_are_those_of_the_model_where_the_ratio_gives_no_whole_number():
    config = hugging_face_config(network(dataclasses.replace(VIT, mlp_ratio=2.9)), ORIGIN)
    assert config["intermediate_size"] == 69


def test_classes_without_names_are_numbered():
    config = hugging_face_config(network(VIT), dataclasses.replace(ORIGIN, class_names=()))
    assert config["id2label"] == {str(index): f"LABEL_{index}" for index in range(5)}


def test_two_classifiers_are_a_deit_with_teacher():
    config = hugging_face_config(network(DEIT_TINY_DISTILLED, DistilledHead(num_classes=5)), ORIGIN)
    assert config["architectures"] == ["DeiTForImageClassificationWithTeacher"] and config["model_type"] == "deit"
    one = hugging_face_config(network(DEIT_TINY_DISTILLED), ORIGIN)
    assert one["architectures"] == ["DeiTForImageClassification"]


def test_config_of_a_swin():
    config = hugging_face_config(network(SWIN_TINY), ORIGIN)
    assert (config["embed_dim"], config["window_size"], config["depths"]) == (96, 7, [2, 2, 6, 2])


def test_images_are_resized_cropped_and_normalised():
    images = preprocessor_config(network(VIT_SMALL), ORIGIN)
    assert (images["size"], images["crop_size"]) == ({"shortest_edge": 248}, {"height": 224, "width": 224})
    assert (images["image_mean"], images["image_std"]) == ([0.5, 0.4, 0.3], [0.1, 0.2, 0.3])
    assert (images["resample"], images["rescale_factor"]) == (3, 1 / 255)
    assert preprocessor_config(network(VIT), ORIGIN)["size"] == {"height": 32, "width": 48}


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        (RELPOS_SMALL, "it has position biases"),
        (BEIT_BASE, "it has position biases"),
        (dataclasses.replace(VIT_SMALL, pool="mean", norm="after_pool"), "does not read the normalised class token"),
        (dataclasses.replace(VIT_SMALL, layer_scale=0.1), "it has LayerScale"),
        (dataclasses.replace(DEIT3_SMALL, layer_scale=None), "its prefix tokens have no positions"),
        (SWINV2_SMALL, "it is not a Swin with tables"),
        (dataclasses.replace(SWIN_TINY, norm_epsilon=1e-6), "LayerNorm epsilon is not 1e-05"),
        (dataclasses.replace(SWIN_TINY, image_size=(160, 224)), "its windows do not tile the maps"),
    ],
)
def test_other_models_are_refused_by_reason(backbone, reason):
    with pytest.raises(ConfigError, match=reason):
        check_has_counterpart(network(backbone))


def test_epsilon_that_no_json_of_timm_can_hold_is_refused():
    config = dataclasses.replace(VIT_SMALL, norm_epsilon=1e-12)
    model = timm_model(config, LinearHead(num_classes=5))
    assert model is not None
    with pytest.raises(ConfigError, match="cannot hold the LayerNorm epsilon 1e-12"):
        timm_config(model, config, num_classes=5, origin=ORIGIN)
