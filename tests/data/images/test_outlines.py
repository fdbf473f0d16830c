"""Outlines beside pycocotools: polygons, run lengths, and those compressed to text."""

import sys

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from gauss_vit.data.images.outlines import Polygons, Runs, decoded_runs, import_masks, rectangle
from gauss_vit.errors import ConfigError


def drawn(index: int) -> np.ndarray:
    """A bitmap of noise, of a block, or of one value; not square."""
    rng = np.random.default_rng(index)
    height, width = rng.integers(1, 70, 2)
    bitmap = rng.random((height, width)) < rng.random() ** 2
    if index % 3 == 0:
        bitmap[:] = False
        bitmap[height // 3 :, width // 4 :] = index % 2
    return bitmap


@pytest.mark.parametrize("index", range(40))
def test_compressed_runs_are_those_of_pycocotools(index):
    bitmap = drawn(index)
    encoded = pycocotools_mask.encode(np.asfortranarray(bitmap, np.uint8))
    runs = decoded_runs(encoded["counts"].decode())
    assert runs.sum() == bitmap.size
    outline = Runs(lengths=runs.astype(np.uint32))
    np.testing.assert_array_equal(outline.bitmap(bitmap.shape), bitmap)
    uncompressed = pycocotools_mask.frPyObjects(outline.to_coco(bitmap.shape), *bitmap.shape)
    assert uncompressed["counts"] == encoded["counts"]


@pytest.mark.parametrize("text", ["0\x7f", "P", "00P", "é", "o" * 20 + "0"])
def test_other_text_is_no_run_lengths(text):
    with pytest.raises(ValueError, match="its counts"):
        decoded_runs(text)


def test_no_text_is_no_runs():
    assert decoded_runs("").size == 0


def test_polygons_are_the_union_that_pycocotools_draws():
    polygons = [[2.5, 3.0, 30.0, 4.25, 12.0, 18.0], [10.0, 2.0, 35.0, 2.0, 35.0, 20.0, 10.0, 20.0]]
    parts = pycocotools_mask.frPyObjects(polygons, 24, 40)
    expected = pycocotools_mask.decode(pycocotools_mask.merge(parts))
    outline = Polygons(points=tuple(np.asarray(points, np.float64) for points in polygons))
    np.testing.assert_array_equal(outline.bitmap((24, 40)), expected)
    assert outline.to_coco((24, 40)) == polygons


def test_a_rectangle_covers_its_box():
    bitmap = rectangle(np.asarray([2.0, 3.0, 7.0, 9.0])).bitmap((10, 12))
    expected = np.zeros((10, 12), bool)
    expected[2:7, 3:9] = True
    np.testing.assert_array_equal(bitmap, expected)


def test_without_pycocotools_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(ConfigError, match="pycocotools") as caught:
        import_masks()
    assert caught.value.do == "pip install 'gauss_vit[coco]'"
