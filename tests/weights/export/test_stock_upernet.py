"""UPerNets of transformers and MMSegmentation: what their configs say, what they lack, and their buffers.

`python -m tests.weights.load_elsewhere` loads such files and folders with the libraries themselves.
"""

import dataclasses

import numpy as np
import pytest

from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.heads.fcn import FCNHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.presets.swin import SWIN_TINY, SWINV2_SMALL
from gauss_vit.position.position import Position, with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.weights.export.hugging_face_folder import hugging_face_config, preprocessor_config
from gauss_vit.weights.export.stock_swin import buffers
from gauss_vit.weights.export.stock_upernet import check_agrees, check_has_upernet, mmseg_upernet
from tests.heads.upernet_networks import TINY, tensors_of
from tests.weights.hugging_face_models import VIT
from tests.weights.test_file_metadata import ORIGIN

SWIN = dataclasses.replace(SWIN_TINY, windows="fixed")
HEAD = UPerNetHead(num_classes=5)


def test_config_of_transformers_says_every_size_and_the_labels():
    config = hugging_face_config(NetworkConfig(backbone=SWIN, head=HEAD), ORIGIN)
    wanted = {
        "model_type": "upernet",
        "architectures": ["UperNetForSemanticSegmentation"],
        "hidden_size": 512,
        "pool_scales": [1, 2, 3, 6],
        "use_auxiliary_head": True,
        "auxiliary_in_channels": 384,
        "auxiliary_channels": 256,
        "id2label": {"0": "cat", "1": "a dog", "2": "café", "3": "d", "4": "e"},
    }
    assert wanted.items() <= config.items()
    inner = config["backbone_config"]
    assert (inner["embed_dim"], inner["num_heads"], inner["window_size"]) == (96, [3, 6, 12, 24], 7)
    assert inner["out_features"] == ["stage1", "stage2", "stage3", "stage4"]
    alone = dataclasses.replace(HEAD, auxiliary=None)
    assert hugging_face_config(NetworkConfig(backbone=SWIN, head=alone), ORIGIN)["use_auxiliary_head"] is False


def test_images_of_any_size_are_normalised_alone():
    images = preprocessor_config(TINY, ORIGIN)
    assert (images["do_resize"], images["do_reduce_labels"]) == (False, False)
    assert (images["image_mean"], images["image_std"]) == ([0.5, 0.4, 0.3], [0.1, 0.2, 0.3])


def test_config_of_mmsegmentation_says_every_size():
    config = mmseg_upernet(SWIN, HEAD)
    assert config["decode_head"]["in_channels"] == [96, 192, 384, 768]
    assert (config["auxiliary_head"]["in_channels"], config["auxiliary_head"]["in_index"]) == (384, 2)
    assert config["backbone"]["depths"] == [2, 2, 6, 2]
    assert "auxiliary_head" not in mmseg_upernet(SWIN, dataclasses.replace(HEAD, auxiliary=None))


@pytest.mark.parametrize(
    ("backbone", "head", "reason"),
    [
        (VIT, HEAD, "it is not on a Swin"),
        (SWIN_TINY, HEAD, "its windows are fitted"),
        (dataclasses.replace(SWIN, position=Position()), HEAD, "it has no relative table"),
        (dataclasses.replace(SWINV2_SMALL, windows="fixed"), HEAD, "it has no relative table, or other"),
        (dataclasses.replace(SWIN, norm_epsilon=1e-6), HEAD, "its LayerNorm epsilon is not 1e-05"),
        (dataclasses.replace(SWIN, window=(7, 8)), HEAD, "its windows or patches are not square"),
        (SWIN, dataclasses.replace(HEAD, auxiliary=FCNHead(level=0)), "does not read stage 3"),
    ],
)
def test_networks_without_a_counterpart_are_refused_by_reason(backbone, head, reason):
    with pytest.raises(ConfigError, match=reason):
        check_has_upernet(NetworkConfig(backbone=backbone, head=head), "mmseg")


def test_a_gaussian_is_no_obstacle_as_it_becomes_a_part_of_the_table():
    check_has_upernet(NetworkConfig(backbone=with_terms(SWIN, Gaussian()), head=HEAD), "hugging_face")


def test_a_config_of_another_upernet_is_refused_although_all_shapes_agree():
    own = hugging_face_config(TINY, ORIGIN)
    check_agrees(own, TINY)
    check_agrees({}, TINY)
    for other, said in (
        ({"pool_scales": [1, 2, 4, 8]}, r"pool_scales \[1, 2, 4, 8\] and here \[1, 2, 3, 6\]"),
        ({"auxiliary_concat_input": True}, "auxiliary_concat_input True and here False"),
        ({"backbone_config": {"hidden_act": "relu"}}, "hidden_act relu and here gelu"),
    ):
        with pytest.raises(CheckpointError, match=said):
            check_agrees({**own, **other}, TINY)


@pytest.mark.parametrize("library", ["hugging_face", "mmseg"])
def test_buffers_are_those_that_the_library_stores(library):
    tensors = tensors_of(library, "tiny")
    wanted = {name for name, array in tensors.items() if array.dtype == np.int64}
    made = buffers(tensors, window=(4, 4), step=7)
    assert set(made) == wanted
    for name, array in made.items():
        assert array.dtype == np.int64 and array.shape == tensors[name].shape
        assert "tracked" not in name or array == 7


def test_index_of_a_window_names_the_offset_of_each_pair():
    name = "backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table"
    (index,) = buffers([name], window=(2, 3), step=0).values()
    table = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2)])
    places = np.array([(row, column) for row in range(2) for column in range(3)])
    np.testing.assert_array_equal(table[index], places[:, None] - places[None])
