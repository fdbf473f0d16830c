"""A Mask R-CNN leaves for MMDetection and comes back with the same numbers, classes and pixels."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.assembly.export import write_weights
from gauss_vit.assembly.foreign_weights import load
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.detection import Detection
from gauss_vit.weights.bake import bake
from gauss_vit.weights.published import published
from tests.heads.mask_rcnn_network import NETWORK

CLASSES = ("cat", "dog", "cow", "car", "bus", "cup", "hat")
PIXELS = Normalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
GAUSSIAN = dataclasses.replace(NETWORK, backbone=with_terms(NETWORK.backbone, Gaussian()))


def named(network: NetworkConfig) -> NamedModel:
    """A model whose parameters are all different, after seven updates."""
    random = np.random.default_rng(0)
    return NamedModel(
        name="tiny",
        config=network.backbone,
        task=Detection(head=network.head),
        params=jax.tree.map(lambda leaf: jnp.float32(random.normal(size=leaf.shape)), abstract(network)[1]),
        step=7,
        eval_transform=ResizeCenterCrop(),
        normalization=PIXELS,
        class_names=CLASSES,
    )


def test_there_and_back_with_the_gaussian_as_a_part_of_the_tables(tmp_path):
    given = named(GAUSSIAN)
    said, *code = write_weights(given, "mmdet", tmp_path / "w.safetensors")
    assert said.endswith("tensors of step 7, gaussian baked into the tables")
    assert code[1].startswith("model = mmdet.registry.MODELS.build(mmengine.ConfigDict({'type': 'MaskRCNN'")
    imported = load(published(tmp_path / "w.safetensors"), NETWORK, head="file", class_names=CLASSES)
    assert (imported.table, imported.fresh, imported.ignored) == ("mmdet", (), ())
    chex.assert_trees_all_equal(imported.params, jax.device_get(bake(given.config, given.params)[1]))
    assert (imported.class_names, imported.head_classes, imported.normalization) == (CLASSES, CLASSES, PIXELS)


def test_classes_are_found_by_name(tmp_path):
    """Each class has one logit, of the box head and of the mask head, and four numbers of a code; background stays."""
    given, chosen = named(NETWORK), (4, 1)
    write_weights(given, "mmdet", tmp_path / "w.safetensors")
    network = dataclasses.replace(NETWORK, head=dataclasses.replace(NETWORK.head, num_classes=2))
    imported = load(
        published(tmp_path / "w.safetensors"), network, head="file", class_names=[CLASSES[index] for index in chosen]
    )
    ours, own = imported.params["head"], jax.device_get(given.params)["head"]
    np.testing.assert_array_equal(ours["box"]["classifier"]["bias"], own["box"]["classifier"]["bias"][[4, 1, 7]])
    np.testing.assert_array_equal(
        ours["box"]["regressor"]["kernel"], own["box"]["regressor"]["kernel"][:, [*range(16, 20), *range(4, 8)]]
    )
    np.testing.assert_array_equal(
        ours["mask"]["classifier"]["kernel"], own["mask"]["classifier"]["kernel"][..., chosen]
    )
    np.testing.assert_array_equal(ours["rpn"]["regressor"]["bias"], own["rpn"]["regressor"]["bias"])


def test_other_windows_libraries_and_folders_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    fitted = dataclasses.replace(
        NETWORK, backbone=dataclasses.replace(NETWORK.backbone, windows="fitted", image_size=(128, 128))
    )
    write_weights(named(NETWORK), "mmdet", path)
    with pytest.raises(ConfigError, match="no Mask R-CNN of MMDetection computes the same as the model: its windows"):
        load(published(path), fitted, head="file")
    with pytest.raises(ConfigError, match="MMDetection loads no folders"):
        write_weights(named(NETWORK), "mmdet", tmp_path / "folder")
    with pytest.raises(
        ConfigError, match="no UPerNet of MMSegmentation computes the same as the model: it has another"
    ):
        write_weights(named(NETWORK), "mmseg", tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="timm has no names for the parameters of a MaskRCNNHead"):
        write_weights(named(NETWORK), "timm", tmp_path / "other.safetensors")
