"""Files of UPerNets, in the names of transformers and MMSegmentation, come in whole and go out without a change."""

import jax
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.construct import abstract
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import NAME_TABLES, timm_rules
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.heads.upernet_networks import TINY, tensors_of
from tests.networks import classifier
from tests.weights.hugging_face_models import VIT

LIBRARIES = ("hugging_face", "mmseg")


def load(tmp_path, tensors, network=TINY, **options):
    write(tmp_path / "w.safetensors", tensors)
    return load_weights(tmp_path / "w.safetensors", network, **options)


@pytest.mark.parametrize("library", LIBRARIES)
def test_there_and_back_is_the_identity(library, tmp_path):
    tensors = tensors_of(library, "tiny")
    imported = load(tmp_path, tensors)
    assert (imported.table, imported.resampled, imported.fresh) == (library, (), ())
    assert jax.tree.structure(imported.params) == jax.tree.structure(abstract(TINY)[1])
    restored = naming.to_theirs(imported.params, NAME_TABLES[library](TINY))
    unused = {name for name in tensors if "num_batches" in name or "position_index" in name or ".swin." in name}
    assert set(restored) == set(tensors) - unused
    for name, array in restored.items():
        np.testing.assert_array_equal(array, tensors[name])


def test_norm_that_transformers_does_not_use_is_ignored_and_said(tmp_path):
    tensors = tensors_of("hugging_face", "tiny")
    older = {name.replace("backbone.swin.", "backbone."): array for name, array in tensors.items()}
    for given in (tensors, older):
        (note,) = load(tmp_path, given).notes()
        assert note.startswith("not used by this model and ignored: backbone.") and "layernorm.bias" in note


def test_merged_patches_are_in_the_order_of_each_library(tmp_path):
    """Each input of the reduction reads the same channel of the same patch, by its place in the two conventions."""
    width, reduction = TINY.backbone.width, "backbone.stages.0.downsample.reduction.weight"
    tensors = tensors_of("mmseg", "tiny")
    channel, row, column = np.unravel_index(np.arange(4 * width), (width, 2, 2))
    # The number of each input says which channel of which patch it is; all outputs are alike.
    tensors[reduction] = np.tile((100 * channel + 10 * row + column).astype(np.float32), (2 * width, 1))
    kernel = load(tmp_path, tensors).params["backbone"]["stages"]["1"]["merging"]["reduction"]["kernel"]
    patches = [(0, 0), (1, 0), (0, 1), (1, 1)]
    expected = [100 * channel + 10 * row + column for row, column in patches for channel in range(width)]
    np.testing.assert_array_equal(kernel[:, 0], expected)


@pytest.mark.full
def test_prefix_of_a_wrapper_is_taken_off(tmp_path):
    tensors = {f"module.{name}": array for name, array in tensors_of("mmseg", "tiny").items()}
    assert load(tmp_path, tensors).prefix == "module."


def test_running_statistics_are_weights_and_their_counter_is_not(tmp_path):
    tensors = tensors_of("hugging_face", "tiny")
    name = "decode_head.bottleneck.batch_norm.running_var"
    norm = load(tmp_path, tensors).params["head"]["bottleneck"]["batch_norm"]
    np.testing.assert_array_equal(norm["variance"], tensors[name])
    del tensors[name]
    with pytest.raises(CheckpointError, match=f"1 missing: {name}"):
        load(tmp_path, tensors)


def test_names_that_look_alike_are_refused(tmp_path):
    """The names of one library with a tensor in those of the other are a file of neither."""
    tensors = tensors_of("mmseg", "tiny")
    tensors["decode_head.classifier.weight"] = tensors.pop("decode_head.conv_seg.weight")
    with pytest.raises(CheckpointError, match=r"1 missing: decode_head\.conv_seg.*1 unexpected: decode_head\.classif"):
        load(tmp_path, tensors)


@pytest.mark.parametrize("rules", NAME_TABLES.values(), ids=NAME_TABLES)
def test_other_backbones_and_libraries_have_no_names_for_the_head(rules):
    with pytest.raises(CheckpointError, match="has no names for"):
        rules(NetworkConfig(backbone=VIT, head=UPerNetHead()))
    with pytest.raises(CheckpointError, match="timm has no names for the parameters of a UPerNetHead"):
        timm_rules(TINY)
    with pytest.raises(CheckpointError, match="MMSegmentation has no names for the parameters of a LinearHead"):
        NAME_TABLES["mmseg"](classifier(VIT))
