"""Masks of TFDS data sets: the classes of the field's sets, of drawn records and of real ones."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from gauss_vit.batches import IGNORED
from gauss_vit.data.examples import Source, palette_of
from gauss_vit.data.image_sizes import image_size
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.ade20k import ade20k_classes
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import DataError
from gauss_vit.palette import generated_palette
from tests.data.samples import encode
from tests.data.sources.mask_samples import HEIGHT, WIDTH, drawn_image
from tests.data.sources.tfds_samples import OneRecord, build_quietly
from tests.data.test_config import DATA

IMAGE = tfds.features.Image
GREY = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
SEGMENTS = {"id": [5, 256, 7 + 65536 * 9], "label": [2, 0, 2]}
OBJECT = {"id": np.int64, "label": tfds.features.ClassLabel(names=["person", "car", "sky"])}


def written(root: Path, name: str, **masks: tuple[tfds.features.FeatureConnector, object]) -> Source:
    """A data set of one record with an image and these features, read back as masks."""
    features = {"image": IMAGE(encoding_format="jpeg")} | {key: kind for key, (kind, _) in masks.items()}
    values = {"image": io.BytesIO(drawn_image(0))} | {key: value for key, (_, value) in masks.items()}
    build_quietly(OneRecord(name, features=features, values=values, data_dir=root))
    return open_source(str(root), name, "test", targets="masks")


def scene(root: Path, mask: np.ndarray) -> Source:
    return written(root, "scene_parse150", annotation=(IMAGE(encoding_format="png"), io.BytesIO(encode(mask))))


def panoptic(root: Path, numbers: np.ndarray, segments: dict[str, list[int]] = SEGMENTS) -> Source:
    channels = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=2).astype(np.uint8)
    listed = [dict(zip(segments, each, strict=True)) for each in zip(*segments.values(), strict=True)]
    return written(
        root,
        "coco",
        panoptic_image=(IMAGE(encoding_format="png"), io.BytesIO(encode(channels))),
        panoptic_objects=(tfds.features.Sequence(OBJECT), listed),
    )


def test_scene_parse150_has_the_classes_of_ade20k(tmp_path: Path):
    source = scene(tmp_path, np.dstack([GREY] * 3))
    assert (source.class_names, palette_of(source)) == (ade20k_classes().names, ade20k_classes().palette)
    expected = np.where(GREY == 0, IGNORED, GREY.astype(int) - 1)
    np.testing.assert_array_equal(source[0].targets.mask.values, expected)
    assert repr(source) == "TfdsSource(name='scene_parse150/1.0.0', split='test', num_examples=1, targets='masks')"


def test_masks_of_instances_in_its_place_are_refused(tmp_path: Path):
    source = scene(tmp_path, np.dstack([GREY, GREY + 1, GREY]))
    with pytest.raises(DataError, match=r"record 0, annotation: the mask stores colours, .*name=ade20k") as caught:
        source[0]
    assert caught.value.code == "DATA-LABEL"
    # Sizes are those of the images: masks are not decoded for them.
    assert image_size(source, 0) == (HEIGHT, WIDTH)


def test_the_trimaps_of_pets_have_three_classes(tmp_path: Path):
    trimap = io.BytesIO(encode(GREY % 3 + 1))
    source = written(tmp_path, "oxford_iiit_pet", segmentation_mask=(IMAGE(shape=(None, None, 1)), trimap))
    assert source.class_names == ("pet", "background", "border")
    np.testing.assert_array_equal(source[0].targets.mask.values, GREY % 3)
    data = dataclasses.replace(
        DATA, name="oxford_iiit_pet", targets="masks", data_dir=str(tmp_path), ignored_classes=("border",)
    )
    two = splits.open_split(data, "test")
    assert (two.class_names, palette_of(two)) == (("pet", "background"), palette_of(source)[:2])
    np.testing.assert_array_equal(two[0].targets.mask.values, np.where(GREY % 3 == 2, IGNORED, GREY % 3))


def test_segments_become_the_classes_of_things_and_stuff(tmp_path: Path):
    numbers = np.asarray([0, *SEGMENTS["id"]])[GREY % 4]
    source = panoptic(tmp_path, numbers)
    assert (source.class_names, palette_of(source)) == (("person", "car", "sky"), generated_palette(3))
    expected = np.asarray([IGNORED, 2, 0, 2])[GREY % 4]
    np.testing.assert_array_equal(source[0].targets.mask.values, expected)
    assert source.padding_targets.mask.values.dtype == np.uint8


def test_a_segment_that_is_not_listed_is_named(tmp_path: Path):
    source = panoptic(tmp_path, np.where(GREY == 0, 777, 5))
    with pytest.raises(DataError, match=r"record 0, panoptic_image: segment 777 stands for no class; .* pixels: 1"):
        source[0]


def test_a_mask_of_another_size_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="record 0, annotation: the mask is 12 x 9 px, the image is 9 x 12 px"):
        scene(tmp_path, np.dstack([GREY.T] * 3))[0]


def test_a_data_set_without_known_masks_is_refused(digits_root: Path):
    with pytest.raises(
        DataError, match=r"digits/1\.0\.0 has no masks that are known; it has file_name, image"
    ) as caught:
        open_source(str(digits_root), "digits", "test", targets="masks")
    assert "oxford_iiit_pet" in caught.value.do


def test_a_data_set_without_objects_is_refused(digits_root: Path):
    with pytest.raises(DataError, match=r"digits/1\.0\.0 has no objects that are known; it has file_name") as caught:
        open_source(str(digits_root), "digits", "train", targets="objects")
    assert "data.name=coco" in str(caught.value.do)


@pytest.mark.parametrize("name", ["scene_parse150", "oxford_iiit_pet", "coco/2017_panoptic"])
def test_real_masks_have_the_sizes_and_classes_of_their_images(real_data: Path, name: str):
    data = dataclasses.replace(DATA, name=name, targets="masks", data_dir=str(real_data / "tfds"))
    source = splits.open_split(data, "train[:3]")
    assert source.num_classes == {"scene_parse150": 150, "oxford_iiit_pet": 3, "coco/2017_panoptic": 133}[name]
    for example in (source[index] for index in range(3)):
        found = np.unique(example.targets.mask.values)
        assert len(found) > 2
        assert found[found != IGNORED].max() < source.num_classes
