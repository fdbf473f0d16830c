"""libjpeg-turbo without Pillow: the same bits, and Pillow's word where a file is not flawless."""

import io

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images import simple_jpeg
from gauss_vit.data.images.header import ORIENTATION_TAG
from gauss_vit.data.images.preprocess import preprocess
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import DataError

WAVES = np.sin(np.arange(97)[:, None, None] / 7 + np.arange(131)[None, :, None] / 11 + np.arange(3))
NOISE = np.random.RandomState(0).randint(-20, 21, WAVES.shape)
PHOTO = Image.fromarray(np.clip(127.5 + 100 * WAVES + NOISE, 0, 255).astype(np.uint8))
BOX = (10, 20, 75, 90)


def jpeg(image=PHOTO, **options):
    """The bytes of a JPEG file."""
    file = io.BytesIO()
    image.save(file, format="JPEG", **options)
    return file.getvalue()


def whole(encoded):
    """The pixels by Pillow alone."""
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [30, 98])
def test_pixels_are_pillows(subsampling, progressive, quality):
    encoded = jpeg(subsampling=subsampling, progressive=progressive, quality=quality)
    np.testing.assert_array_equal(simple_jpeg.decode_jpeg(encoded), whole(encoded))


@pytest.mark.parametrize(("name", "split"), [("imagenet2012", "train"), ("oxford_iiit_pet", "train")])
def test_pixels_of_real_photos_are_pillows(real_data, name, split):
    source = open_source(str(real_data / "tfds"), name, split)
    decoded = 0
    for index in range(0, len(source), 8):
        encoded = source[index].image
        opened = Image.open(io.BytesIO(encoded))
        if (opened.format, opened.mode) == ("JPEG", "RGB") and (pixels := simple_jpeg.decode_jpeg(encoded)) is not None:
            np.testing.assert_array_equal(pixels, whole(encoded))
            decoded += 1
    assert decoded > 0.9 * len(source) / 8


def test_a_box_is_that_part_of_the_whole():
    encoded = jpeg()
    sizes = []
    part = images.decode(encoded, name="photo", box_of=lambda size: sizes.append(size) or BOX)
    assert sizes == [(97, 131)]
    np.testing.assert_array_equal(np.asarray(part), whole(encoded)[20:90, 10:75])


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF"])
def test_a_box_is_the_same_as_an_array_and_as_an_image(file_format):
    file = io.BytesIO()
    PHOTO.save(file, format=file_format)
    image, array = (
        decode(file.getvalue(), name="photo", box_of=lambda size: BOX)
        for decode in (images.decode, images.decode_array)
    )
    assert (array.dtype, array.shape) == (np.uint8, (70, 65, 3))
    np.testing.assert_array_equal(array, np.asarray(image))


def with_orientation(orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return jpeg(exif=exif)


@pytest.mark.parametrize(
    "encoded",
    [jpeg(), jpeg(PHOTO.convert("L")), jpeg(PHOTO.convert("CMYK")), with_orientation(6), with_orientation(1)],
    ids=["rgb", "grey", "cmyk", "turned", "upright"],
)
def test_a_crop_while_decoding_is_the_crop_of_the_decoded_image(encoded, monkeypatch):
    example = Example(image=encoded, targets=None, name="photo")
    crop, flip = RandomResizedCrop(), RandomFlip()
    first = crop(images.decode(encoded, name="photo"), size=(32, 24), key=images.randomness.fold(5, 0))
    expected = flip(first, size=(32, 24), key=images.randomness.fold(5, 1))
    rendered = preprocess(example, transforms=(crop, flip), image_size=(32, 24), key=5).pixels
    np.testing.assert_array_equal(rendered, np.asarray(expected))
    monkeypatch.setattr(simple_jpeg, "simplejpeg", None)
    np.testing.assert_array_equal(
        preprocess(example, transforms=(crop, flip), image_size=(32, 24), key=5).pixels, rendered
    )


@pytest.mark.parametrize("installed", [True, False])
def test_a_truncated_file_is_pillows_error_with_or_without_the_library(installed, monkeypatch):
    if not installed:
        monkeypatch.setattr(simple_jpeg, "simplejpeg", None)
    encoded = jpeg()[:1500]
    with pytest.raises(DataError, match="photo: image file is truncated"):
        images.decode(encoded, name="photo", box_of=lambda size: BOX)


def test_a_file_with_a_flaw_gives_what_pillow_makes_of_it():
    encoded = bytearray(jpeg())
    encoded[len(encoded) // 2 : len(encoded) // 2 + 8] = b"\xff\xd3" * 4  # restart markers that do not belong there
    assert simple_jpeg.decode_jpeg(bytes(encoded)) is None
    part = images.decode(bytes(encoded), name="photo", box_of=lambda size: BOX)
    np.testing.assert_array_equal(np.asarray(part), whole(bytes(encoded))[20:90, 10:75])


def test_mutants_give_what_pillow_makes_of_them(monkeypatch):
    outcomes = {True: [], False: []}
    for installed in outcomes:
        if not installed:
            monkeypatch.setattr(simple_jpeg, "simplejpeg", None)
        outcomes[installed] = [outcome(mutant) for mutant in mutants(jpeg(PHOTO.resize((40, 30))), count=300)]
    assert outcomes[True] == outcomes[False]
    assert 20 < sum(isinstance(found, bytes) for found in outcomes[True]) < 280


def mutants(encoded, *, count):
    """Copies of a file with four bytes changed at random."""
    random = np.random.RandomState(0)
    for _ in range(count):
        content = bytearray(encoded)
        for place in random.randint(0, len(content), 4):
            content[place] = random.randint(0, 256)
        yield bytes(content)


def outcome(encoded):
    """The pixels of a box, or the error."""
    try:
        return np.asarray(
            images.decode(encoded, name="photo", max_pixels=10**6, box_of=lambda size: (0, 0, size[1], size[0]))
        ).tobytes()
    except DataError as error:
        return error.code, str(error)
