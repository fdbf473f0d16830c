"""The embedded digits: complete, equal to scikit-learn's, and read without importing it."""

import importlib.metadata
import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from gauss_vit.data.examples import Source
from gauss_vit.data.sources import digits
from gauss_vit.data.sources.digits import DigitsDataSet
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import DataError


def pixels(image):
    """Grey levels of an encoded image."""
    return np.asarray(Image.open(io.BytesIO(image)))


def test_the_table_is_the_one_that_scikit_learn_loads():
    table, expected = digits.read_table(), load_digits()
    np.testing.assert_array_equal(table[:, :64], expected.data)
    np.testing.assert_array_equal(table[:, 64], expected.target)


def test_every_fifth_image_is_for_testing():
    labels = load_digits().target
    is_test = np.arange(len(labels)) % 5 == 0
    for split, expected in (("test", labels[is_test]), ("train", labels[~is_test])):
        source = DigitsDataSet().open(split)
        assert [source[index].targets.label for index in range(len(source))] == expected.tolist()


def test_the_whole_is_training_images_and_then_test_images():
    data_set = DigitsDataSet()
    whole, train, test = data_set.open_whole(), data_set.open("train"), data_set.open("test")
    assert (len(whole), len(train), len(test)) == (1797, 1437, 360)
    assert [whole[index].image for index in (0, 1436, 1437, 1796)] == [
        source[index].image for source, index in ((train, 0), (train, 1436), (test, 0), (test, 359))
    ]


@pytest.mark.parametrize("split", ["train", "test", "test[:50]", "train[:90%]"])
def test_a_prepared_set_of_the_digits_holds_the_same_examples(digits_root, split):
    source, prepared = DigitsDataSet().open(split), open_source(str(digits_root), "digits", split)
    assert len(source) == len(prepared)
    for index in range(0, len(source), 7):
        assert (source[index].image, source[index].targets) == (prepared[index].image, prepared[index].targets)


def test_classes_are_named_by_their_digits():
    source = DigitsDataSet().open("train")
    assert isinstance(source, Source)
    assert (source.class_names, source.num_classes) == (tuple("0123456789"), 10)


def test_an_example_names_its_record_and_its_place_in_the_table():
    source = DigitsDataSet().open("test")
    assert source[1].name == "digits test record 1 (0005.png)"
    assert repr(source) == "DigitsSource(split='test', num_examples=360)"
    for index in (-1, 360):
        with pytest.raises(IndexError, match=r"not in 0\.\.359"):
            source[index]


def test_images_are_the_digits_at_32_px():
    image = pixels(DigitsDataSet().open("test")[7].image)
    original = load_digits().images[35]
    assert (image.shape, image.dtype) == ((32, 32), np.uint8)
    # Averaged back to 8 x 8, only the ringing of the bicubic filter is left as a difference.
    back = image.reshape(8, 4, 8, 4).mean((1, 3))
    assert np.corrcoef(back.ravel(), original.ravel())[0, 1] > 0.98


def test_the_darkest_and_the_brightest_level_span_the_range_of_bytes():
    flat = [pixels(digits.encode_png(np.full((8, 8), level, np.uint8))) for level in (0, 8, 16)]
    assert [sorted(set(image.ravel().tolist())) for image in flat] == [[0], [127], [255]]


@pytest.mark.parametrize("split", ["validation", "all", "test[360:]", "train+test"])
def test_a_split_that_is_not_there_is_refused(split):
    with pytest.raises(DataError):
        DigitsDataSet().open(split)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(DataError, match=r"scikit-learn.*pip install 'gauss_vit\[digits\]'"):
        DigitsDataSet().open("train")
