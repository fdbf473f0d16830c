"""The data sets of the field, with the features that TFDS gives each: image, label and file name are found in all."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds

from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import DataError
from tests.data.samples import encode
from tests.data.sources.tfds_samples import OneRecord, build_quietly

PIXELS = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
LABEL = tfds.features.ClassLabel(num_classes=3)
FILE = {"file_name": tfds.features.Text()}
BOX = tfds.features.BBox(ymin=0.0, xmin=0.0, ymax=0.5, xmax=1.0)
IMAGE, TEXT = tfds.features.Image, tfds.features.Text

FEATURES = {
    "imagenet2012": {"image": IMAGE(encoding_format="jpeg"), "label": LABEL, **FILE},
    "imagenet_v2": {"image": IMAGE(encoding_format="jpeg"), "label": LABEL, **FILE},
    "imagenet_a": {"image": IMAGE(encoding_format="jpeg"), "label": LABEL, **FILE},
    "imagenet_r": {"image": IMAGE(encoding_format="jpeg"), "label": LABEL, **FILE},
    "imagenet2012_real": {
        "image": IMAGE(encoding_format="jpeg"),
        "original_label": LABEL,
        "real_label": tfds.features.Sequence(LABEL),
        **FILE,
    },
    "oxford_iiit_pet": {
        "image": IMAGE(encoding_format="jpeg"),
        "label": LABEL,
        "species": tfds.features.ClassLabel(names=["Cat", "Dog"]),
        "segmentation_mask": IMAGE(shape=(None, None, 1)),
        "head_bbox": tfds.features.BBoxFeature(),
        **FILE,
    },
    "caltech101": {"image": IMAGE(), "label": LABEL, "image/file_name": TEXT()},
    "cars196": {"image": IMAGE(), "label": LABEL, "bbox": tfds.features.BBoxFeature(), "id": TEXT()},
    "stanford_dogs": {
        "image": IMAGE(),
        "image/filename": TEXT(),
        "label": LABEL,
        "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature()}),
    },
    "cifar10": {"id": TEXT(), "image": IMAGE(shape=(32, 32, 3)), "label": LABEL},
    "cifar100": {"id": TEXT(), "image": IMAGE(shape=(32, 32, 3)), "label": LABEL, "coarse_label": LABEL},
}
VALUES = {
    "image": None,
    "label": 2,
    "original_label": 2,
    "real_label": [2, 0],
    "species": 1,
    "segmentation_mask": encode(PIXELS[..., 0]),
    "head_bbox": BOX,
    "bbox": BOX,
    "objects": [{"bbox": BOX}, {"bbox": BOX}],
    "coarse_label": 1,
}


def written(name, root, **changes):
    """One record of a data set of that name, read back."""
    image = encode(PIXELS, "PNG" if FEATURES[name]["image"].shape[0] else "JPEG")
    values = {key: VALUES.get(key, "photo") for key in FEATURES[name]}
    values |= {"image": io.BytesIO(image), **changes}
    build_quietly(OneRecord(name, features=FEATURES[name], values=values, data_dir=root))
    source = open_source(str(root), name, "test")
    return source, image


@pytest.mark.parametrize("name", FEATURES)
def test_image_label_and_file_name_are_found_under_every_sets_keys(name, tmp_path):
    source, image = written(name, tmp_path)
    example = source[0]
    assert example.image == image
    assert (example.targets.label, source.num_classes) == (2, 3)
    assert example.name == f"{name}/1.0.0 test record 0 (photo)"
    accepted = example.targets.accepted
    assert (None if accepted is None else accepted.tolist()) == (
        [True, False, True] if name == "imagenet2012_real" else None
    )


def test_an_image_may_be_named_by_a_number(tmp_path):
    features = {"id": tfds.features.Scalar(np.int64), "image": IMAGE(encoding_format="jpeg"), "label": LABEL}
    values = {"id": 70, "image": io.BytesIO(encode(PIXELS, "JPEG")), "label": 2}
    build_quietly(OneRecord("i_naturalist2021", features=features, values=values, data_dir=tmp_path))
    source = open_source(str(tmp_path), "i_naturalist2021", "test")
    assert source[0].name == "i_naturalist2021/1.0.0 test record 0 (70)"
    assert source.image_size(0, max_pixels=2000) == (32, 32)


def test_an_image_without_any_right_class_has_none(tmp_path):
    source, _ = written("imagenet2012_real", tmp_path, real_label=[])
    assert source[0].targets.accepted.tolist() == [False] * 3


def test_a_hidden_label_is_refused(tmp_path):
    source, _ = written("imagenet2012", tmp_path, label=-1)
    with pytest.raises(DataError, match=r"label -1 is not in 0\.\.2"):
        source[0]
