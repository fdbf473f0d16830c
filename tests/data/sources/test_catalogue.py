"""Bad input that no other test of this package has: bombs of every kind, and images of extreme proportions."""

import functools
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images.preprocess import preprocess
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, Resize, ResizeCenterCrop
from gauss_vit.errors import DataError
from tests.data.samples import encode

SMALL = encode(np.full((8, 8, 3), 90, np.uint8))
MEGABYTE = 1 << 20


def peak_bytes(run):
    """The most memory that Python's allocators held during a call."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def chunk(name, content):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpeg_that_claims(height, width):
    """A small JPEG file whose header says another size."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, format="JPEG")
    content = bytearray(file.getvalue())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def corner(decode):
    """The decoder of a corner."""
    return functools.partial(decode, box_of=lambda size: (0, 0, 8, 8))


@pytest.mark.parametrize(
    "decoder",
    [images.decode, corner(images.decode), corner(images.decode_array)],
    ids=["whole", "cropped", "cropped array"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_jpeg_is_rejected_by_its_header(decoder):
    encoded = jpeg_that_claims(65500, 65500)

    def decode():
        with pytest.raises(DataError) as caught:
            decoder(encoded, name="bomb.jpg")
        assert (caught.value.code, "bomb.jpg" in caught.value.message) == ("DATA-BOMB", True)

    assert peak_bytes(decode) < 4 * MEGABYTE


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt"])
def test_a_png_with_a_huge_text_is_refused_in_bounded_memory(name):
    text = zlib.compress(bytes(64 * MEGABYTE))
    head = b"Comment\0\0" if name == b"zTXt" else b"Comment\0\x01\0\0\0"
    start = SMALL.index(b"IDAT") - 4
    encoded = SMALL[:start] + chunk(name, head + text) + SMALL[start:]

    def decode():
        try:
            assert images.decode(encoded, name="text.png").size == (8, 8)
        except DataError as error:
            assert (error.code, "text.png" in error.message) == ("DATA-DECODE", True)

    assert peak_bytes(decode) < 16 * MEGABYTE


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 7)])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_images_of_extreme_proportions_become_the_models_size_or_are_refused(size, file_format):
    example = Example(image=encode(np.full((*size, 3), 90, np.uint8), file_format), targets=None, name="thin")
    for transforms in ((RandomResizedCrop(), RandomFlip()), (Resize(),), (RandomResizedCrop(resampler="simd"),)):
        pixels = preprocess(example, transforms=transforms, image_size=(32, 48), key=3).pixels
        assert pixels.shape == (32, 48, 3)
        np.testing.assert_allclose(pixels.astype(int), 90, atol=2)
    try:
        pixels = preprocess(example, transforms=(ResizeCenterCrop(),), image_size=(32, 32), key=0).pixels
        np.testing.assert_allclose(pixels[16].astype(int), 90, atol=2)
    except DataError as error:
        assert (error.code, "thin" in error.message) == ("DATA-DECODE", True)
