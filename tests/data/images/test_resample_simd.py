"""Resizing with vector instructions: Pillow's pixels within rounding, from arrays as from images, or refused."""

import io

import cykooz_resizer
import numpy as np
import pytest
from PIL import Image

from gauss_vit.data import pipeline, randomness
from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images import resample_simd, simple_jpeg
from gauss_vit.data.images.augment import mean_fill, rand_augment
from gauss_vit.data.images.header import ORIENTATION_TAG
from gauss_vit.data.images.preprocess import preprocess
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, RandomShift, drawn_interpolation
from gauss_vit.data.skips import Skips
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import ConfigError, DataError
from tests.data.samples import noise_source

WAVES = np.sin(np.arange(90)[:, None, None] / 7 + np.arange(130)[None, :, None] / 11 + np.arange(3))
SMOOTH = np.round(127.5 + 120 * WAVES).astype(np.uint8)
NOISE = np.random.RandomState(0).randint(0, 256, (90, 130, 3), np.uint8)
SIZES = [(32, 32), (40, 24), (200, 180), (90, 60), (45, 130), (1, 1), (90, 130)]
AUGMENT = rand_augment("rand-m9-inc1", fill=mean_fill((0.485, 0.456, 0.406)))
FILTERS = {"bicubic": cykooz_resizer.FilterType.catmull_rom, "bilinear": cykooz_resizer.FilterType.bilinear}


def difference(pixels, *, size, interpolation):
    """How far the values are from Pillow's, in levels."""
    ours = resample_simd.resize(pixels, size=size, interpolation=interpolation).astype(int)
    pillows = images.resize(Image.fromarray(pixels), size=size, interpolation=interpolation)
    return np.abs(ours - np.asarray(pillows, int))


def resized_image(image, *, size, interpolation):
    """The same filter over Pillow's own memory, where a pixel takes four bytes."""
    algorithm = cykooz_resizer.ResizeAlg.convolution(FILTERS[interpolation])
    options = cykooz_resizer.ResizeOptions(resize_alg=algorithm, use_alpha=False)
    for shape in ((size[1], image.height), (size[1], size[0])):
        resized = Image.new("RGB", shape)
        cykooz_resizer.Resizer().resize_pil(image, resized, options)
        image = resized
    return image


def one_by_one(encoded, *, transforms, size, key):
    """What `preprocess` gives, by way of the whole image and an image after every transform."""
    crop, *others = transforms
    keys = [randomness.fold(key, place) for place in range(len(transforms))]
    whole = images.decode(encoded, name="photo")
    interpolation = drawn_interpolation(crop.interpolation, key=randomness.fold(keys[0], 1), draw=0)
    part = whole.crop(crop.box((whole.height, whole.width), key=keys[0]))
    image = resized_image(part, size=size, interpolation=interpolation)
    for transform, own_key in zip(others, keys[1:], strict=True):
        image = transform(image, size=size, key=own_key)
    return np.asarray(image)


def assert_rendered_as_one_by_one(encoded, *, interpolation, size, keys):
    """Bit for bit: the crop alone, with a flip, with what takes images only, and with a flip of an image again."""
    crop = RandomResizedCrop(interpolation=interpolation, resampler="simd")
    example = Example(image=encoded, targets=None, name="photo")
    flip = RandomFlip()
    for transforms in ((crop,), (crop, flip), (crop, flip, AUGMENT), (crop, RandomShift(max_shift_px=2), flip)):
        for key in keys:
            rendered = preprocess(example, transforms=transforms, image_size=size, key=key).pixels
            expected = one_by_one(encoded, transforms=transforms, size=size, key=key)
            np.testing.assert_array_equal(rendered, expected)


def encode(pixels, *, mode="RGB", file_format="JPEG", **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, format=file_format, **options)
    return file.getvalue()


def turned(pixels, orientation):
    """A JPEG file that EXIF says to turn."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return encode(pixels, exif=exif)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
def test_smooth_images_are_pillows_within_a_level(size, interpolation):
    wrong = difference(SMOOTH, size=size, interpolation=interpolation)
    assert wrong.shape == (*size, 3)
    assert wrong.max() <= 1
    assert wrong.mean() < 0.01


@pytest.mark.parametrize("size", SIZES)
def test_noise_stays_near_pillow(size):
    # Bicubic filters overshoot at every pixel of it: the worst case, in which the order of the passes shows most.
    wrong = difference(NOISE, size=size, interpolation="bicubic")
    assert wrong.max() <= 2
    assert wrong.mean() < 0.01


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
def test_an_array_gives_the_bits_of_an_image(size, interpolation):
    for part in (NOISE, NOISE[7:80, 11:97], NOISE[:1, 5:], NOISE[3:, 6:7], NOISE[4:5, 4:5]):
        expected = resized_image(Image.fromarray(part), size=size, interpolation=interpolation)
        np.testing.assert_array_equal(
            resample_simd.resize(part, size=size, interpolation=interpolation), np.asarray(expected)
        )


def test_a_flat_image_stays_flat_and_an_equal_size_the_same_in_memory_of_its_own():
    flat = np.full((30, 50, 3), (10, 100, 200), np.uint8)
    np.testing.assert_array_equal(
        resample_simd.resize(flat, size=(17, 40), interpolation="bicubic"), np.broadcast_to(flat[:1, :1], (17, 40, 3))
    )
    part = NOISE[5:40, 10:60]
    same = resample_simd.resize(part, size=(35, 50), interpolation="bicubic")
    np.testing.assert_array_equal(same, part)
    assert not np.shares_memory(same, NOISE)


def test_the_crop_draws_the_same_boxes_whatever_resizes():
    image = Image.fromarray(SMOOTH)
    pixels = {
        resampler: [
            np.asarray(RandomResizedCrop(resampler=resampler)(image, size=(24, 32), key=key), int) for key in range(16)
        ]
        for resampler in ("pillow", "simd")
    }
    assert np.abs(np.subtract(pixels["pillow"], pixels["simd"])).max() <= 1


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize(
    "encoded",
    [
        encode(NOISE),
        encode(NOISE, file_format="PNG"),
        encode(NOISE, mode="RGBA", file_format="PNG"),
        encode(NOISE, mode="L"),
        encode(NOISE, mode="CMYK"),
        turned(NOISE, 6),
        turned(NOISE, 3),
        encode(NOISE[:1]),
        encode(NOISE[:1, :1], file_format="PNG"),
    ],
    ids=["jpeg", "png", "alpha", "grey", "cmyk", "turned", "upside down", "one row", "one pixel"],
)
def test_every_kind_of_file_is_rendered_as_by_one_image_after_another(encoded, interpolation, monkeypatch):
    assert_rendered_as_one_by_one(encoded, interpolation=interpolation, size=(24, 32), keys=range(6))
    monkeypatch.setattr(simple_jpeg, "simplejpeg", None)
    assert_rendered_as_one_by_one(encoded, interpolation=interpolation, size=(24, 32), keys=range(2))


@pytest.mark.parametrize(("name", "split"), [("imagenet2012", "train"), ("oxford_iiit_pet", "train")])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
def test_real_photos_are_rendered_as_by_one_image_after_another(real_data, name, split, interpolation):
    source = open_source(str(real_data / "tfds"), name, split)
    for index in range(0, len(source), len(source) // 8):
        assert_rendered_as_one_by_one(source[index].image, interpolation=interpolation, size=(224, 192), keys=[index])


def test_too_large_an_image_is_refused_before_it_is_resized():
    example = Example(image=encode(NOISE), targets=None, name="photo")
    with pytest.raises(DataError, match="photo: 90 x 130 px") as caught:
        preprocess(
            example, transforms=(RandomResizedCrop(resampler="simd"),), image_size=(24, 32), key=0, max_pixels=11699
        )
    assert caught.value.code == "DATA-BOMB"


def test_a_missing_library_is_named_with_the_remedy_and_no_images_fault(monkeypatch):
    monkeypatch.setattr(resample_simd, "cykooz_resizer", None)
    crop = RandomResizedCrop(resampler="simd")
    with pytest.raises(ConfigError, match=r"needs cykooz-resizer.*pip install"):
        crop(Image.fromarray(SMOOTH), size=(24, 32), key=0)
    skips = Skips(limit=100, report=pytest.fail)
    batches = pipeline.train_batches(
        noise_source(4),
        transforms=(crop,),
        image_size=(6, 8),
        batch_size=4,
        seed=0,
        start_step=0,
        num_steps=1,
        num_threads=0,
        skips=skips,
    )
    with pytest.raises(ConfigError, match=r"needs cykooz-resizer.*pip install"):
        next(batches)
