"""Mask R-CNN: its size, what it samples and finds, padded images, precision and gradients."""

import dataclasses

import jax
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.box_head import BoxHead
from gauss_vit.heads.mask_head import MaskHead
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import Head, HeadConfig, NetworkConfig, TargetReader
from gauss_vit.heads.rpn import RPNHead
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets_swin import SWIN_BASE, SWIN_SMALL, SWIN_TINY, for_dense_tasks
from tests.heads.detectors import BACKBONE, HEAD, detector, images_of

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("preset", "count"), [(SWIN_TINY, 47_794_602), (SWIN_SMALL, 69_112_506), (SWIN_BASE, 107_141_800)]
)
def test_number_of_parameters_is_that_of_mmdetection(preset, count):
    _, params = abstract(NetworkConfig(backbone=for_dense_tasks(preset), head=MaskRCNNHead()))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_it_is_a_head_that_reads_targets():
    assert isinstance(HEAD, HeadConfig)
    head = detector().head
    assert isinstance(head, Head) and isinstance(head, TargetReader)
    with pytest.raises(ValueError, match="with_targets"):
        detector()(images_of(), key=KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskRCNNHead(num_classes=0), "num_classes must be at least 1"),
        (lambda: MaskRCNNHead(samples=0), "samples must be at least 1"),
        (lambda: RPNHead(num_proposals=0), "num_proposals must be at least 1"),
        (lambda: RPNHead(overlap=1.5), r"overlap must be in \[0, 1\]"),
        (lambda: RPNHead(ratios=()), "positive strides, ratios and scale"),
        (lambda: BoxHead(limit=0), "limit must be at least 1"),
        (lambda: BoxHead(score_floor=-0.1), r"score_floor must be in \[0, 1\]"),
        (lambda: MaskHead(bins=0), "bins must be at least 1"),
        (
            lambda: abstract(NetworkConfig(backbone=BACKBONE, head=dataclasses.replace(HEAD, num_classes=None))),
            "num_classes is None",
        ),
        (
            lambda: abstract(NetworkConfig(backbone=dataclasses.replace(BACKBONE, patch_size=(2, 4)), head=HEAD)),
            "squares of whole pixels",
        ),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
