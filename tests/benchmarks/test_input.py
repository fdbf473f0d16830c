"""The input benchmark: both sides make the same images, and a row stands for every pair that was measured."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import input as benchmark


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> benchmark.Photos:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return benchmark.photos_of(folder, 2, quality=90)


def test_photos_are_jpeg_files_of_imagenets_size(photos):
    assert len(photos) == 2
    assert all(encoded.startswith(b"\xff\xd8") for encoded in photos.encoded)
    assert benchmark.images.decode(photos[0].image, name="photo").size == (500, 375)


def test_sides_make_the_same_images_and_say_how_long_it_took(photos):
    sides = benchmark.own_sides(photos)
    assert all(side()["cpu"] > 0 for side in sides.values())
    exact, fast = (
        np.stack(benchmark.ours(photos, transforms=transforms)).astype(int)
        for transforms in (benchmark.EXACT, benchmark.FAST)
    )
    assert np.abs(exact - fast).mean() < 0.05


def test_rows_are_those_whose_sides_were_measured():
    seconds = [{"wall": 1.0, "cpu": 0.5}, {"wall": 1.0, "cpu": 0.25}]
    measured = {"fast": seconds, "exact": seconds, "packed": seconds, "pillow": [{"wall": 1.0, "cpu": 1.0}] * 2}
    rows = benchmark.table(measured, num_images=100)
    assert [row.ratio.median for row in rows if row.ratio] == [3.0] * 3
    assert [row.ours.median for row in rows] == [300.0] * 5
