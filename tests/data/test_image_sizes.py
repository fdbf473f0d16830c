"""Sizes by headers: those of the decoded, upright images, for every format and length of header."""

import io

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.image_sizes import image_sizes, size_in_file
from gauss_vit.data.images.image import load_image
from gauss_vit.data.sources.image_files import FileSource
from gauss_vit.errors import DataError

PHOTO = Image.fromarray(np.random.RandomState(0).randint(0, 256, (150, 210, 3), np.uint8))


def saved(path, **options):
    """A file with the photo."""
    PHOTO.save(path, **options)
    return path


def turned(number):
    """EXIF with an orientation, and a comment of 60,000 bytes, as long as a preview."""
    exif = Image.Exif()
    exif[0x0112], exif[0x9286] = number, "x" * 60_000
    return exif


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_is_that_of_the_decoded_image(tmp_path, name, orientation):
    options = {} if name.endswith("gif") else {"exif": turned(orientation)}
    path = saved(tmp_path / name, **options)
    decoded = load_image(path)
    assert size_in_file(path) == (decoded.height, decoded.width)


def test_a_header_of_more_than_64_kib_is_read_whole(tmp_path):
    path = saved(tmp_path / "a.jpg", exif=turned(6), icc_profile=bytes(200_000), quality=100)
    assert path.stat().st_size > 200_000
    assert size_in_file(path) == (210, 150)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image" * 20_000)
    with pytest.raises(DataError, match=r"a\.jpg: not an image"):
        size_in_file(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"b\.jpg"):
        size_in_file(tmp_path / "b.jpg")


def test_a_large_image_is_refused_by_its_header(tmp_path):
    with pytest.raises(DataError, match=r"the limit is 0\.02 Mpx"):
        size_in_file(saved(tmp_path / "a.png"), max_pixels=20_000)


@pytest.mark.parametrize("num_threads", [0, 3])
def test_files_are_measured_without_their_masks(tmp_path, num_threads, monkeypatch):
    paths = tuple(saved(tmp_path / f"{number}.png") for number in range(3))
    monkeypatch.delattr("gauss_vit.data.sources.image_files.example_of")
    source = FileSource(paths=paths, targets="masks")
    assert image_sizes(source, num_threads=num_threads) == dict.fromkeys(range(3), (150, 210))


def test_a_file_tells_its_size_by_a_mask_of_zeros(tmp_path):
    content = io.BytesIO()
    PHOTO.save(content, "jpeg", exif=turned(6))
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    mask = FileSource(paths=(tmp_path / "a.jpg",), targets="masks")[0].targets.mask
    assert mask.values.shape == (210, 150) and not mask.values.any()
    assert FileSource(paths=(tmp_path / "a.jpg",))[0].targets == ()


def test_a_file_tells_its_size_without_objects(tmp_path):
    source = FileSource(paths=(saved(tmp_path / "a.png"), saved(tmp_path / "b.png")), targets="objects")
    objects = source[1].targets
    assert (objects.size.tolist(), int(objects.image_id), objects.boxes.yxyx.shape) == ([150, 210], 1, (0, 4))
    assert int(source.padding_targets.image_id) == -1
