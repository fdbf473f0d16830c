"""What a file of ours says of its model comes back; what another file says there is not believed."""

import dataclasses

import pytest

from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.file_metadata import (
    Origin,
    class_names_of,
    grids_of_file,
    grids_of_tensors,
    normalization_of,
    palette_of,
    to_metadata,
)
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.safetensors_file import open_weights, write
from tests.networks import classifier
from tests.weights.hugging_face_models import SWIN, VIT
from tests.weights.test_pretrained import TABLE, tensors_for

ORIGIN = Origin(
    step=7,
    class_names=("cat", "a dog", "café", "d", "e"),
    normalization=Normalization(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)),
    crop_fraction=0.9,
    interpolation="bicubic",
)


def test_header_holds_step_classes_pixels_and_grids(tmp_path):
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for path in paths:
        write(path, tensors_for(VIT), metadata=to_metadata(ORIGIN, {"pos_embed": (4, 6)}))
    metadata = open_weights(paths[0]).metadata
    assert (metadata["step"], metadata["mean"], metadata["std"]) == ("7", "[0.5, 0.4, 0.3]", "[0.1, 0.2, 0.3]")
    assert class_names_of(metadata) == ORIGIN.class_names
    assert grids_of_file(metadata) == {"pos_embed": (4, 6)}
    assert normalization_of(metadata) == ORIGIN.normalization
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_every_position_tensor_has_its_grid():
    grids = {
        name: grids_of_tensors(config, abstract(classifier(config))[1], timm_rules(classifier(config)))
        for name, config in {"vit": VIT, "table": TABLE, "swin": SWIN}.items()
    }
    assert grids["vit"] == {"pos_embed": (4, 6)}
    assert grids["table"] == {f"blocks.{i}.attn.rel_pos.relative_position_bias_table": (2, 3) for i in range(3)}
    assert set(grids["swin"].values()) == {(4, 4)} and len(grids["swin"]) == 6


@pytest.mark.parametrize(
    "text", ["", "[", "3", '["a", 1]', '{"a": [0, 2], "b": [1.5, 2], "c": [1, 2, 3]}', "[" * 100_000]
)
def test_nonsense_in_a_header_is_unknown(text):
    assert class_names_of({"class_names": text}) == ()
    assert grids_of_file({"position_grids": text}) == {}
    assert normalization_of({"mean": text, "std": "[1, 1, 1]"}) is None


def test_colours_are_found_by_the_names_of_their_classes():
    palette = ((0, 1, 2), (3, 4, 255), (5, 6, 7), (8, 9, 10), (11, 12, 13))
    metadata = to_metadata(dataclasses.replace(ORIGIN, palette=palette), {})
    assert palette_of(metadata, ORIGIN.class_names) == palette
    assert palette_of(metadata, ("d", "cat")) == ((8, 9, 10), (0, 1, 2))
    assert palette_of(metadata, ("cat", "cow")) == ()
    assert palette_of(to_metadata(ORIGIN, {}), ORIGIN.class_names) == ()


@pytest.mark.parametrize(
    "text", ["", "3", "[[0, 0, 0]]", "[[0, 0], [0, 0, 0]]", "[[0, 0, 256], [0, 0, 0]]", "[[0, 0, 0.5], 1]"]
)
def test_colours_of_other_classes_and_nonsense_are_unknown(text):
    assert palette_of({"class_names": '["a", "b"]', "palette": text}, ("a", "b")) == ()


@pytest.mark.parametrize("std", ["[0, 1, 1]", "[NaN, 1, 1]", "[true, 1, 1]", "[1, 1]"])
def test_pixels_without_a_positive_deviation_are_unknown(std):
    assert normalization_of({"mean": "[0, 0, 0]", "std": std}) is None


def test_names_that_a_terminal_cannot_show_are_unknown():
    assert class_names_of({"class_names": '["a", "\\u001b[31m"]'}) == ()
