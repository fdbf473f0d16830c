"""A file for another model: one line that names the preset."""

import json
import math

import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.models.presets.vit import DEIT_TINY, VIT_SMALL
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import hugging_face_rules, timm_rules
from gauss_vit.weights.pretrained import load_weights
from tests.networks import classifier


def sparse_file(path, config, rules, *, num_classes=1000, prefix=""):
    """A file with a preset's header; its numbers take no room on disk."""
    network = classifier(config, num_classes)
    wanted = naming.expected(rules(network), abstract(network)[1])
    return sparse(path, {prefix + name: each.shape for name, each in wanted.items()})


def sparse(path, shapes):
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def message_of(path, config, num_classes=1000):
    with pytest.raises(CheckpointError) as caught:
        load_weights(path, classifier(config, num_classes))
    return str(caught.value)


@pytest.mark.parametrize(("rules", "prefix"), [(timm_rules, ""), (hugging_face_rules, "module.")])
def test_wrong_size_names_the_preset_in_one_line(rules, prefix, tmp_path):
    path = sparse_file(tmp_path / "w.safetensors", DEIT_TINY, rules, num_classes=7, prefix=prefix)
    message = message_of(path, VIT_SMALL)
    assert "it has width 192 and the model 384; this looks like deit_tiny_patch16_224" in message
    assert message.endswith("DO: use --model=deit_tiny_patch16_224, or a config of that model")


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_cr_small_ns_224", "xcit_tiny_24_p8_224"])
def test_file_of_another_architecture_names_its_preset(name, tmp_path):
    path = sparse_file(tmp_path / "w.safetensors", PRESETS[name], timm_rules)
    assert f"this looks like {name}" in message_of(path, VIT_SMALL)


def test_own_file_with_other_classes_is_not_another_model(tmp_path):
    path = sparse_file(tmp_path / "w.safetensors", VIT_SMALL, timm_rules, num_classes=7)
    message = message_of(path, VIT_SMALL)
    assert "head.weight is (7, 384) in the file" in message and "--head=fresh" in message
