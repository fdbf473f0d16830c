"""Decoding: every kind of image and of damage. Geometry: closed forms, and timm's recorded pixels."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images import image as images
from gauss_vit.data.images.header import ORIENTATION_TAG
from gauss_vit.errors import DataError
from tests.data.samples import encode, png

# Four colours in the corners: every turn and flip gives other pixels.
CORNERS = np.zeros((8, 12, 3), np.uint8)
CORNERS[:4, :6], CORNERS[:4, 6:], CORNERS[4:, :6] = (255, 0, 0), (0, 255, 0), (0, 0, 255)

# What EXIF says of a stored image whose upright form is CORNERS: the inverse of the turn that shows it.
STORED = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.swapaxes(0, 1),
    6: np.rot90(CORNERS, 1),
    7: CORNERS[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(CORNERS, -1),
}


def saved(image: Image.Image, file_format: str, **options) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()


def decoded(encoded: bytes) -> np.ndarray:
    """Pixels of an encoded image."""
    return images.to_array(images.decode(encoded, name="x.jpg"))


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "WEBP"])
def test_lossless_formats_keep_every_pixel(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(CORNERS), file_format, **options)), CORNERS)


def test_jpeg_keeps_the_colours_closely():
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    np.testing.assert_allclose(decoded(encode(flat, "JPEG")).astype(int), flat, atol=2)  # Chroma is rounded.


@pytest.mark.parametrize(
    ("mode", "file_format", "colour", "expected"),
    [
        ("L", "PNG", 90, (90, 90, 90)),
        ("L", "JPEG", 90, (90, 90, 90)),
        ("1", "PNG", 1, (255, 255, 255)),
        ("LA", "PNG", (90, 10), (90, 90, 90)),
        ("RGBA", "PNG", (10, 20, 30, 40), (10, 20, 30)),
        ("RGBA", "WEBP", (10, 20, 30, 255), (10, 20, 30)),
        ("CMYK", "JPEG", (0, 0, 0, 155), (100, 100, 100)),
        ("I;16", "PNG", 90 * 256 + 255, (90, 90, 90)),
    ],
)
def test_every_mode_becomes_rgb(mode, file_format, colour, expected):
    options = {"lossless": True} if file_format == "WEBP" else {}
    pixels = decoded(saved(Image.new(mode, (16, 8), colour), file_format, **options))
    assert pixels.shape == (8, 16, 3)
    np.testing.assert_allclose(pixels.reshape(-1, 3).astype(int), np.tile(expected, (128, 1)), atol=1)


def test_a_palette_becomes_its_colours():
    palette = Image.fromarray(CORNERS).quantize(4)
    np.testing.assert_array_equal(decoded(saved(palette, "PNG")), CORNERS)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    pixels = decoded(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(pixels, np.tile(np.array([255, 0, 0], np.uint8), (4, 6, 1)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_image(orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    encoded = saved(Image.fromarray(np.ascontiguousarray(STORED[orientation])), "PNG", exif=exif)
    np.testing.assert_array_equal(decoded(encoded), CORNERS)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_unknown_orientation_is_no_orientation(orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(CORNERS), "PNG", exif=exif)), CORNERS)


@pytest.mark.parametrize("exif", [b"Exif\x00\x00", b"Exif\x00\x00garbage that is no TIFF", b"\xff" * 40])
def test_broken_exif_is_no_orientation(exif):
    assert decoded(saved(Image.fromarray(CORNERS), "JPEG", exif=exif)).shape == CORNERS.shape


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_file_is_named(file_format):
    noise = np.random.RandomState(0).randint(0, 256, (40, 40, 3), np.uint8)
    encoded = encode(noise, file_format)
    with pytest.raises(DataError, match=r"^x\.jpg: ") as caught:
        decoded(encoded[: len(encoded) // 2])
    assert (caught.value.code, caught.value.exit_status) == ("DATA-DECODE", 3)


@pytest.mark.parametrize("file_format", ["BMP", "TIFF", "ICO", "EPS", "PDF", "PPM"])
def test_other_formats_are_never_parsed(file_format):
    with pytest.raises(DataError, match="not an image in one of the formats JPEG, PNG"):
        decoded(encode(CORNERS, file_format))


@pytest.mark.parametrize("encoded", [b"", b"<html></html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_an_error(encoded):
    with pytest.raises(DataError) as caught:
        decoded(encoded)
    assert caught.value.code == "DATA-DECODE"


@pytest.mark.parametrize("side", [7200, 9400, 11000, 30000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_rejected_by_its_header(side):
    with pytest.raises(DataError, match="limit is 50 Mpx") as caught:
        decoded(png((side, side)))
    assert caught.value.code == "DATA-BOMB"


def test_mutated_files_give_an_image_or_an_error():
    for file_format in ("JPEG", "PNG", "WEBP", "GIF"):
        encoded = encode(CORNERS, file_format)
        for mutant in range(150):
            content = bytearray(encoded)
            for draw in range(4):
                place = randomness.below(len(content), key=mutant, draw=2 * draw)
                content[place] = randomness.below(256, key=mutant, draw=2 * draw + 1)
            try:
                assert decoded(bytes(content)).shape[2] == 3
            except DataError as error:
                assert error.code in ("DATA-DECODE", "DATA-BOMB")


def recorded():
    """timm's results: (input pixels, crop size, crop fraction, filter, crop mode, output pixels)."""
    with np.load(Path(__file__).parent / "timm_eval.npz") as record:
        for name in record.files:
            kind, image, *settings = name.split("_")
            if kind == "output":
                size = tuple(int(side) for side in settings[0].split("x"))
                fraction = int(settings[1]) / 1000
                yield pytest.param(record[f"input_{image}"], size, fraction, *settings[2:], record[name], id=name)


@pytest.mark.parametrize(("pixels", "size", "crop_fraction", "interpolation", "mode", "expected"), list(recorded()))
def test_resize_and_center_crop_give_the_pixels_of_timm(pixels, size, crop_fraction, interpolation, mode, expected):
    if mode == "squash":
        resized_size = images.stretched_size(size, crop_fraction=crop_fraction)
    else:
        resized_size = images.size_before_crop(pixels.shape[:2], size=size, crop_fraction=crop_fraction)
    resized = images.resize(Image.fromarray(pixels), size=resized_size, interpolation=interpolation)
    result = images.to_array(images.center_crop(resized, size=size))
    np.testing.assert_array_equal(result, expected)  # The same Pillow calls: not a bit may differ.


@pytest.mark.parametrize(
    ("image_size", "size", "expected"),
    [
        ((500, 375), (224, 224), (330, 248)),
        ((375, 500), (224, 224), (248, 330)),
        ((256, 256), (224, 224), (248, 248)),
        ((100, 300), (224, 448), (248, 744)),
        ((300, 100), (224, 448), (1491, 497)),
    ],
)
def test_the_tighter_side_is_resized_to_the_crop_over_its_fraction(image_size, size, expected):
    assert images.size_before_crop(image_size, size=size, crop_fraction=0.9) == expected


def test_resize_keeps_a_flat_image_flat_and_an_equal_size_untouched():
    flat = Image.new("RGB", (7, 5), (9, 8, 7))
    assert images.resize(flat, size=(5, 7), interpolation="bicubic") is flat
    pixels = images.to_array(images.resize(flat, size=(11, 3), interpolation="bicubic"))
    np.testing.assert_array_equal(pixels, np.tile(np.array([9, 8, 7], np.uint8), (11, 3, 1)))


def test_shrinking_by_a_whole_factor_keeps_the_mean():
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 16, axis=0).repeat(3, axis=2)
    shrunk = images.to_array(images.resize(Image.fromarray(ramp), size=(4, 16), interpolation="bilinear"))
    assert abs(float(shrunk.mean()) - float(ramp.mean())) < 0.5  # Antialiased: no pixel is left out.


def test_resizing_beyond_the_limit_of_pixels_is_refused():
    with pytest.raises(ValueError, match="1 x 5000 px would be resized to 248 x 1240000 px"):
        images.resize(Image.new("RGB", (5000, 1)), size=(248, 1_240_000), interpolation="bicubic")


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (4, 7), (9, 13)])
def test_center_crop_takes_the_middle(height, width):
    pixels = np.arange(9 * 13 * 3).reshape(9, 13, 3).astype(np.uint8)
    top, left = round((9 - height) / 2), round((13 - width) / 2)
    cropped = images.to_array(images.center_crop(Image.fromarray(pixels), size=(height, width)))
    np.testing.assert_array_equal(cropped, pixels[top : top + height, left : left + width])


def test_center_crop_pads_a_small_image_with_black():
    cropped = images.to_array(images.center_crop(Image.new("RGB", (2, 3), "white"), size=(6, 5)))
    expected = np.zeros((6, 5, 3), np.uint8)
    expected[1:4, 1:3] = 255
    np.testing.assert_array_equal(cropped, expected)


@pytest.mark.parametrize("image_size", [(37, 91), (91, 37), (224, 224), (2, 3)])
def test_a_random_box_is_inside_the_image_with_area_and_ratio_in_range(image_size):
    scale, ratio = (0.2, 0.9), (0.5, 2.0)
    for key in range(300):
        left, top, right, bottom = images.random_crop_box(image_size, scale=scale, ratio=ratio, key=key)
        height, width = bottom - top, right - left
        assert 0 <= top < bottom <= image_size[0]
        assert 0 <= left < right <= image_size[1]
        # Sides are rounded to whole pixels: half a pixel either way.
        assert (height + 0.5) * (width + 0.5) >= scale[0] * image_size[0] * image_size[1]
        assert (height - 0.5) * (width - 0.5) <= scale[1] * image_size[0] * image_size[1]
        assert ratio[0] <= (width + 0.5) / max(height - 0.5, 0.5)
        assert (width - 0.5) / (height + 0.5) <= ratio[1]


def test_the_area_of_random_boxes_is_uniform():
    boxes = [images.random_crop_box((1000, 1000), scale=(0.1, 0.5), ratio=(0.9, 1.1), key=key) for key in range(4000)]
    areas = np.array([(right - left) * (bottom - top) / 1e6 for left, top, right, bottom in boxes])
    # Five standard errors of a uniform law on 0.1..0.5, and the rounding of sides to pixels.
    assert abs(areas.mean() - 0.3) < 5 * 0.4 / np.sqrt(12 * 4000) + 1e-3
    counts, _ = np.histogram(areas, bins=8, range=(0.1, 0.5))
    assert counts.min() > 400


def test_every_place_is_reached():
    places = {images.random_crop_box((4, 4), scale=(0.25, 0.25), ratio=(1.0, 1.0), key=key)[:2] for key in range(300)}
    assert places == {(left, top) for left in range(3) for top in range(3)}


def test_the_whole_square_is_its_only_box_of_full_area():
    assert images.random_crop_box((50, 50), scale=(1.0, 1.0), ratio=(1.0, 1.0), key=3) == (0, 0, 50, 50)


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [
        ((1, 1), (0, 0, 1, 1)),
        ((1, 5000), (2499, 0, 2501, 1)),
        ((5000, 1), (0, 2499, 1, 2501)),
        ((9, 40), (11, 0, 29, 9)),
    ],
)
def test_an_image_that_no_draw_fits_gives_its_central_box(image_size, expected):
    assert images.random_crop_box(image_size, scale=(1.0, 1.0), ratio=(0.5, 2.0), key=0) == expected


def test_random_boxes_are_golden():
    boxes = [images.random_crop_box((375, 500), scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), key=key) for key in range(2)]
    assert boxes == [(51, 4, 455, 321), (100, 64, 382, 364)]


def test_flip_exchanges_left_and_right():
    np.testing.assert_array_equal(images.to_array(images.flip(Image.fromarray(CORNERS))), CORNERS[:, ::-1])


@pytest.mark.parametrize("part", [np.s_[:], np.s_[3:5, 4:9], np.s_[:1], np.s_[:, 7:8]], ids=str)
def test_an_array_is_flipped_in_memory_of_its_own(part):
    pixels = CORNERS.copy()[part]
    pixels.flags.writeable = False
    flipped = images.flip_array(pixels)
    np.testing.assert_array_equal(flipped, pixels[:, ::-1])
    assert flipped.flags.c_contiguous and not np.shares_memory(flipped, pixels)


@pytest.mark.parametrize(("shift_y", "shift_x"), [(0, 0), (2, -3), (-1, 4), (20, 0)])
def test_shift_moves_the_image_and_fills_the_border(shift_y, shift_x):
    shifted = images.to_array(images.shift(Image.fromarray(CORNERS), shift_yx=(shift_y, shift_x), fill=7))
    padded = np.pad(CORNERS, ((20, 20), (20, 20), (0, 0)), constant_values=7)
    np.testing.assert_array_equal(shifted, padded[20 - shift_y : 28 - shift_y, 20 - shift_x : 32 - shift_x])


def test_to_array_gives_pixels_of_its_own():
    image = Image.fromarray(CORNERS)
    pixels = images.to_array(image)
    pixels[:] = 0
    np.testing.assert_array_equal(images.to_array(image), CORNERS)


@pytest.fixture
def folder(tmp_path):
    """A folder of images, in nested folders, and of things that are none."""
    for name in ("b.JPG", "a.png", "B.jpeg", "inner/c.webp", "inner/a.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(CORNERS))
    for name in (".DS_Store", "._a.jpg", "Thumbs.db", "notes.txt"):
        (tmp_path / name).write_text("junk")
    return tmp_path


def test_images_of_a_folder_come_in_the_order_of_their_bytes(folder):
    names = [str(path.relative_to(folder)) for path in images.open_images(folder)]
    assert names == ["B.jpeg", "a.png", "b.JPG", "inner/a.gif", "inner/c.webp"]


def test_links_to_folders_are_not_followed(folder):
    (folder / "loop").symlink_to(folder)
    assert len(images.open_images(folder)) == 5


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_images_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name) as caught:
        images.open_images(tmp_path / name)
    assert caught.value.code == "DATA-EMPTY"


def test_a_file_is_read_by_its_content_not_by_its_suffix(folder):
    np.testing.assert_array_equal(images.to_array(images.load_image(folder / "b.JPG")), CORNERS)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "p.jpg")
    with pytest.raises(DataError, match=r"p\.jpg: not a regular file"):
        images.load_image(tmp_path / "p.jpg")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"dangling\.jpg: No such file"):
        images.load_image(tmp_path / "dangling.jpg")
