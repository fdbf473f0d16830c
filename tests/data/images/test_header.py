"""Headers: the size that decoding gives, for every orientation, without decoding."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gauss_vit.data.images import image as images
from gauss_vit.data.images.header import ORIENTATION_TAG, read_header, turned
from gauss_vit.errors import DataError
from tests.data.samples import encode

PIXELS = np.random.RandomState(0).randint(0, 256, (5, 9, 3), np.uint8)


def with_orientation(orientation: object) -> bytes:
    """A PNG file of PIXELS with an orientation in its EXIF block."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION_TAG] = orientation
    Image.fromarray(PIXELS).save(file, format="PNG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_decoded_image(orientation: int):
    encoded = with_orientation(orientation)
    header, decoded = read_header(encoded, name="x.png"), images.decode(encoded, name="x.png")
    assert (header.orientation, header.stored_size) == (orientation, (5, 9))
    assert header.size == (decoded.height, decoded.width)
    np.testing.assert_array_equal(turned(Image.fromarray(PIXELS), orientation), decoded)


def large_png(key: str, text: str) -> bytes:
    """A PNG file of more than 64 KiB with a text block."""
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_itxt(key, text) if key.startswith("XML") else info.add_text(key, text, zip=True)
    pixels = np.random.RandomState(0).randint(0, 256, (150, 200, 3), np.uint8)
    Image.fromarray(pixels).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def as_imagemagick_writes(exif: bytes) -> str:
    """The text of a block "Raw profile type exif"."""
    return f"\nexif\n{len(exif):8d}\n{exif.hex()}\n"


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_every_block_of_a_png_that_turns_it_is_read_from_its_start_and_by_decoding(orientation: int):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    blocks = {
        "XML:com.adobe.xmp": f'<x tiff:Orientation="{orientation}"/>',
        "Raw profile type exif": as_imagemagick_writes(exif.tobytes()),
    }
    for key, text in blocks.items():
        encoded = large_png(key, text)
        header = read_header(encoded[: 2**16], name="x.png")
        assert (header.orientation, header.stored_size) == (orientation, (150, 200))
        decoded = images.decode(encoded, name="x.png")
        assert header.size == (decoded.height, decoded.width)


def test_a_broken_block_counts_as_none():
    encoded = large_png("Raw profile type exif", "\nexif\n 4\nxyz\n")
    assert read_header(encoded, name="x.png").orientation == 1
    assert images.decode(encoded, name="x.png").height == 150


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_counts_as_none(orientation: int):
    assert read_header(with_orientation(orientation), name="x.png").orientation == 1


def test_damage_is_refused_as_by_decoding_and_pixels_are_not_read():
    cut = encode(PIXELS)[:60]
    assert read_header(cut, name="x.png").size == (5, 9)
    for encoded, code in ((b"", "DATA-DECODE"), (encode(PIXELS)[:20], "DATA-DECODE")):
        with pytest.raises(DataError, match=r"x\.png") as caught:
            read_header(encoded, name="x.png")
        assert caught.value.code == code
    with pytest.raises(DataError, match=r"x\.png: 5 x 9 px is 0 Mpx, the limit is 4e-05 Mpx") as caught:
        read_header(encode(PIXELS), name="x.png", max_pixels=40)
    assert caught.value.code == "DATA-BOMB"
