"""Masks in PNG files: exactly what was drawn, beside the image as it is shown, or one line that names the file."""

import io

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.images import image as images
from gauss_vit.data.images.header import Header
from gauss_vit.data.images.mask import classes_of, decode_mask, packed, unpacked, upright_mask
from gauss_vit.errors import DataError
from tests.data.samples import encode, png

INDICES = np.random.RandomState(0).randint(0, 256, (7, 5)).astype(np.uint8)
COLORS = np.random.RandomState(1).randint(0, 256, (7, 5, 3)).astype(np.uint8)


def saved(image: Image.Image, **options) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()


def values(encoded: bytes) -> np.ndarray:
    """What a mask of indices stores."""
    stored = decode_mask(encoded, name="m.png")
    assert not stored.is_color
    return stored.values


def refusal(encoded: bytes, **options) -> DataError:
    """The error about a file that is no mask."""
    with pytest.raises(DataError, match=r"^m\.png") as caught:
        decode_mask(encoded, name="m.png", **options)
    return caught.value


def test_grey_levels_are_indices():
    np.testing.assert_array_equal(values(encode(INDICES)), INDICES)


def test_sixteen_bits_are_kept():
    wide = (INDICES.astype(np.uint16) * 257) ^ 1
    np.testing.assert_array_equal(values(saved(Image.fromarray(wide))), wide)


def test_a_palette_gives_its_indices_and_never_its_colours():
    mask = Image.fromarray(INDICES, mode="P")
    mask.putpalette(np.random.RandomState(2).randint(0, 256, 768).tolist())
    np.testing.assert_array_equal(values(saved(mask, transparency=3)), INDICES)
    few = Image.fromarray(INDICES % 3, mode="P")  # Stored with two bits.
    few.putpalette([9, 9, 9, 7, 7, 7, 200, 0, 0])
    np.testing.assert_array_equal(values(saved(few)), INDICES % 3)


def test_one_bit_gives_zero_and_one():
    is_set = INDICES % 2 == 1
    np.testing.assert_array_equal(values(saved(Image.fromarray(is_set))), INDICES % 2)


def test_an_opaque_alpha_channel_is_left_out():
    opaque = np.full_like(INDICES, 255)
    np.testing.assert_array_equal(values(encode(np.stack([INDICES, opaque], axis=2))), INDICES)
    with_alpha = decode_mask(encode(np.dstack([COLORS, opaque])), name="m.png")
    np.testing.assert_array_equal(with_alpha.values, decode_mask(encode(COLORS), name="m.png").values)


def test_colours_are_packed_as_coco_numbers_segments():
    stored = decode_mask(encode(COLORS), name="m.png")
    red, green, blue = np.moveaxis(COLORS.astype(int), 2, 0)
    np.testing.assert_array_equal(stored.values, red + 256 * green + 65536 * blue)
    assert stored.is_color
    assert stored.grey_levels() is None
    assert [unpacked(packed(color)) for color in ((0, 0, 0), (255, 1, 2), (3, 255, 254))] == [
        (0, 0, 0),
        (255, 1, 2),
        (3, 255, 254),
    ]


def test_three_equal_channels_are_grey_levels():
    stored = decode_mask(encode(np.dstack([INDICES] * 3)), name="m.png")
    np.testing.assert_array_equal(stored.grey_levels(), INDICES)
    almost = np.dstack([INDICES] * 3)
    almost[6, 4, 1] ^= 1
    assert decode_mask(encode(almost), name="m.png").grey_levels() is None


def test_one_pixel_is_a_mask():
    np.testing.assert_array_equal(values(encode(INDICES[:1, :1])), INDICES[:1, :1])


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_levels_that_readers_scale_are_refused(bits: int):
    encoded = png((1, 8), bit_depth=bits, color_type=0, rows=bytes([0] + [0b01000100] * bits))
    assert images.to_array(images.decode(encoded, name="m.png")).max() in (85, 68)  # Read as grey: 1 / 3 or 4 / 15.
    error = refusal(encoded)
    assert (error.code, f"its grey levels have {bits} bits" in error.message) == ("DATA-MASK", True)


def test_colours_of_sixteen_bits_are_refused():
    encoded = png((1, 1), bit_depth=16, rows=bytes(7))
    assert "its colours have 16 bits" in refusal(encoded).message


def test_transparent_pixels_are_refused():
    alpha = np.full_like(INDICES, 255)
    alpha[3, 2] = 254
    for pixels in (np.stack([INDICES, alpha], axis=2), np.dstack([COLORS, alpha])):
        assert "transparent pixels" in refusal(encode(pixels)).message


@pytest.mark.parametrize("file_format", ["JPEG", "GIF", "WEBP"])
def test_formats_that_may_blend_indices_are_refused(file_format: str):
    error = refusal(encode(COLORS, file_format))
    assert (error.code, "not a PNG file" in error.message) == ("DATA-DECODE", True)


def test_damage_and_size_are_refused_as_those_of_images():
    assert refusal(b"").code == "DATA-DECODE"
    noise = np.random.RandomState(0).randint(0, 256, (90, 90)).astype(np.uint8)
    assert "truncated" in refusal(encode(noise)[:4000]).message
    assert refusal(png((30000, 30000))).code == "DATA-BOMB"
    assert refusal(encode(INDICES), max_pixels=34).code == "DATA-BOMB"


def test_values_are_replaced_pixel_by_pixel():
    random = np.random.RandomState(3)
    for dtype, shape in ((np.uint8, (9, 4)), (np.uint16, (1, 1)), (np.int32, (2, 30))):
        stored = random.randint(0, 4, shape).astype(dtype) * 50
        class_of = {0: 7, 50: 255, 100: 0, 150: 254, 999: 1}
        expected = np.vectorize(class_of.get)(stored)
        found = classes_of(stored, class_of, name="m.png", shown=str)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


def test_a_value_without_a_class_is_named_with_the_file():
    with pytest.raises(DataError, match=r"^m\.png: value 151 stands for no class; .* pixels: 2 ") as caught:
        classes_of(np.asarray([[0, 151, 151]]), {0: 0}, name="m.png", shown=lambda value: f"value {value}")
    assert caught.value.code == "DATA-LABEL"
    with pytest.raises(DataError, match=r"^m\.png: 8 \(and 1 more\) stands for no class; .* pixels: 3 "):
        classes_of(np.asarray([[0, 9, 8, 9]]), {0: 0}, name="m.png", shown=str)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_with_the_image_where_its_size_says_so(orientation: int):
    # The mask as it is upright, and as a camera stores it: the image's own turn leads from one to the other.
    stored = Image.fromarray(INDICES)
    header = Header(stored_size=(7, 5), orientation=orientation)
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored.save(file, format="PNG", exif=exif)
    upright = np.asarray(images.decode(file.getvalue(), name="m.png"))[..., 0]
    np.testing.assert_array_equal(upright_mask(upright, header, name="m.png"), upright)
    is_sideways = orientation >= 5
    assert (header.size == (5, 7)) == is_sideways
    expected = upright if is_sideways else INDICES
    np.testing.assert_array_equal(upright_mask(INDICES, header, name="m.png"), expected)


def test_a_square_mask_is_taken_to_be_upright():
    square = INDICES[:5]
    header = Header(stored_size=(5, 5), orientation=6)
    np.testing.assert_array_equal(upright_mask(square, header, name="m.png"), square)


def test_a_mask_of_another_size_is_refused():
    header = Header(stored_size=(8, 5), orientation=6)
    with pytest.raises(DataError, match=r"^m\.png: the mask is 7 x 5 px, the image is 5 x 8 px ") as caught:
        upright_mask(INDICES, header, name="m.png")
    assert caught.value.code == "DATA-MASK"
