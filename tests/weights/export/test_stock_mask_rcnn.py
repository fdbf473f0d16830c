"""The Mask R-CNN of MMDetection: what its config says, and what it lacks.

`python -m tests.weights.load_in_mmdet` builds it and loads an exported file with MMDetection itself.
"""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import Position, with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.weights.export.stock_mask_rcnn import check_has_mask_rcnn, mmdet_call, mmdet_mask_rcnn
from gauss_vit.weights.export.stock_swin import openmmlab_swin, swin_obstacle
from tests.heads import mask_rcnn_case as case
from tests.heads.mask_rcnn_network import NETWORK
from tests.heads.mmdet_config import config
from tests.heads.upernet_networks import TINY
from tests.weights.hugging_face_models import VIT

BACKBONE, HEAD = NETWORK.backbone, NETWORK.head
PIXELS = Normalization(mean=tuple(mean / 255 for mean in case.MEAN), std=tuple(std / 255 for std in case.STD))
OF_THE_RECORD = {"stage", "drop_path_rate"}
"""Entries of the recorded model's config that no other has: its sampler's, and no stochastic depth."""


def assert_says(found, wanted, place=""):
    """Checks that a config says everything that another does."""
    for name, value in wanted.items():
        if isinstance(value, dict):
            assert_says(found[name], value, f"{place}.{name}")
        elif value == "PrioritySampler":
            assert found[name] == "RandomSampler"
        elif name not in OF_THE_RECORD and name != "ignore_iof_thr":
            expected = list(value) if isinstance(value, tuple) else value
            assert found[name] == (pytest.approx(expected) if name in ("mean", "std") else expected), f"{place}.{name}"


def test_config_says_what_the_recorded_model_was_made_of():
    assert_says(mmdet_mask_rcnn(BACKBONE, HEAD, PIXELS), config())


def test_strides_are_those_of_the_patches_and_of_every_merging():
    assert openmmlab_swin(BACKBONE)["strides"] == [BACKBONE.patch_size[0], *[2] * (len(BACKBONE.depths) - 1)]
    assert openmmlab_swin(dataclasses.replace(BACKBONE, patch_size=(2, 2)))["strides"][:2] == [2, 2]


def test_the_start_of_a_table_is_no_obstacle():
    started = dataclasses.replace(BACKBONE, position=Position(terms=(RelativeTable(init_std=0.0),)))
    assert not swin_obstacle(started)
    with_rows = dataclasses.replace(BACKBONE, position=Position(terms=(RelativeTable(has_prefix=True),)))
    assert "no relative table" in swin_obstacle(with_rows)


def test_boxes_alone_are_a_faster_rcnn():
    found = mmdet_mask_rcnn(BACKBONE, dataclasses.replace(HEAD, mask=None, samples=2), PIXELS)
    assert found["type"] == "FasterRCNN" and "mask_head" not in found["roi_head"]
    assert found["roi_head"]["bbox_roi_extractor"]["roi_layer"]["sampling_ratio"] == 2
    assert "mask_size" not in found["train_cfg"]["rcnn"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"windows": "fitted"}, "windows"), ({"mlp_ratio": 2.5}, "mlp_ratio"), ({"norm_epsilon": 1e-6}, "epsilon")],
)
def test_swins_that_compute_something_else_are_refused(changes, reason):
    with pytest.raises(ConfigError, match=f"no Mask R-CNN of MMDetection computes the same as the model: .*{reason}"):
        check_has_mask_rcnn(NetworkConfig(backbone=dataclasses.replace(BACKBONE, **changes), head=HEAD))


def test_other_networks_are_refused():
    check_has_mask_rcnn(NetworkConfig(backbone=with_terms(BACKBONE, Gaussian()), head=HEAD))
    for network, reason in ((NetworkConfig(backbone=VIT, head=HEAD), "not on a Swin"), (TINY, "another head")):
        with pytest.raises(ConfigError, match=reason):
            check_has_mask_rcnn(network)
    assert mmdet_call(TINY, PIXELS) == ""
