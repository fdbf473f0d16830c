"""Files of Mask R-CNN in MMDetection's names come in whole and go out without a change."""

import dataclasses

import jax
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.construct import abstract
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import NAME_TABLES, mmdet_rules
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.heads import mask_rcnn_case as case
from tests.heads.mask_rcnn_network import NETWORK
from tests.heads.mask_rcnn_record import tensors
from tests.networks import classifier
from tests.weights.hugging_face_models import VIT

BOXES = "roi_head.bbox_head"


def load(tmp_path, changes, network=NETWORK):
    """Loads the recorded model with other tensors."""
    write(tmp_path / "w.safetensors", {**tensors(), **changes})
    return load_weights(tmp_path / "w.safetensors", network)


def test_there_and_back_is_the_identity(tmp_path):
    imported = load(tmp_path, {})
    assert (imported.table, imported.resampled, imported.fresh, imported.ignored) == ("mmdet", (), (), ())
    assert jax.tree.structure(imported.params) == jax.tree.structure(abstract(NETWORK)[1])
    restored, given = naming.to_theirs(imported.params, mmdet_rules(NETWORK)), tensors()
    assert set(restored) == {name for name in given if not name.endswith("relative_position_index")}
    for name, array in restored.items():
        np.testing.assert_array_equal(array, given[name])


def test_outputs_and_inputs_are_in_our_order(tmp_path):
    """Each number says what it is for: which number of the code of which box, or which channel of which bin."""
    codes = np.array([f"{box} {number}" for box in range(case.NUM_CLASSES) for number in "xywh"])
    numbers = np.arange(len(codes), dtype=np.float32)
    channel, row, column = np.unravel_index(np.arange(49 * case.CHANNELS), (case.CHANNELS, 7, 7))
    bins = (100 * channel + 10 * row + column).astype(np.float32)
    head = load(
        tmp_path,
        {
            f"{BOXES}.fc_reg.weight": np.tile(numbers[:, None], (1, case.UNITS)),
            f"{BOXES}.fc_reg.bias": numbers,
            f"{BOXES}.shared_fcs.0.weight": np.tile(bins, (case.UNITS, 1)),
            "rpn_head.rpn_reg.weight": np.tile(numbers[:12, None, None, None], (1, case.CHANNELS, 1, 1)),
            "rpn_head.rpn_reg.bias": numbers[:12],
        },
    ).params["head"]
    ours = [f"{box} {number}" for box in range(case.NUM_CLASSES) for number in "yxhw"]
    boxes, anchors = head["box"]["regressor"], head["rpn"]["regressor"]
    for found in (boxes["kernel"][0], boxes["bias"]):
        assert codes[found.astype(int)].tolist() == ours
    for found in (anchors["kernel"][0, 0, 0], anchors["bias"]):
        assert codes[found.astype(int)].tolist() == ours[:12]
    row, column, channel = np.unravel_index(np.arange(49 * case.CHANNELS), (7, 7, case.CHANNELS))
    np.testing.assert_array_equal(head["box"]["fc1"]["kernel"][:, 0], 100 * channel + 10 * row + column)
    # A transposed convolution is stored as [inputs, outputs, row, column].
    name = "roi_head.mask_head.upsample.weight"
    np.testing.assert_array_equal(head["mask"]["upsampling"]["kernel"][1, 0, 5, 3], tensors()[name][5, 3, 1, 0])


def test_boxes_alone_have_no_names_of_masks(tmp_path):
    network = dataclasses.replace(NETWORK, head=dataclasses.replace(NETWORK.head, mask=None))
    with pytest.raises(CheckpointError, match=r"12 unexpected: roi_head\.mask_head\.conv_logits\.bias"):
        load(tmp_path, {}, network)


def test_other_networks_are_refused():
    with pytest.raises(CheckpointError, match="MMDetection has no names for a MaskRCNNHead on a ViTConfig"):
        mmdet_rules(NetworkConfig(backbone=VIT, head=NETWORK.head))
    with pytest.raises(CheckpointError, match="MMDetection has no names for the parameters of a LinearHead"):
        mmdet_rules(classifier(VIT))
    for library in ("timm", "hugging_face", "mmseg"):
        with pytest.raises(CheckpointError, match="no names for the parameters of a MaskRCNNHead"):
            NAME_TABLES[library](NETWORK)


def test_file_of_other_numbers_of_classes_is_refused(tmp_path):
    head = dataclasses.replace(NETWORK.head, num_classes=5)
    with pytest.raises(CheckpointError, match=r"fc_cls\.bias is \(8,\) in the file and \(6,\) in the model.*fresh"):
        load(tmp_path, {}, dataclasses.replace(NETWORK, head=head))


def test_mask_rcnns_of_torchvision_are_refused(tmp_path):
    """They are on a ResNet; these are some of their names."""
    names = ("backbone.body.conv1.weight", "backbone.fpn.inner_blocks.0.0.weight", "roi_heads.box_head.fc6.weight")
    write(tmp_path / "w.safetensors", {name: np.zeros((2, 2), np.float32) for name in names})
    with pytest.raises(CheckpointError, match=r"has names of neither .*mmdet.* for this model: backbone\.body\.conv1"):
        load_weights(tmp_path / "w.safetensors", NETWORK)
