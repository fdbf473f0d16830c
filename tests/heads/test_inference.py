"""Views of an image: windows, scales and flips, with functions of images in the place of a network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.inference import Inference, slide, starts
from gauss_vit.ops.map_resize import bilinear_resize
from tests.tolerance import of_sums

CROP, STRIDE = (6, 8), (4, 5)
ATOL = of_sums(30) * 10


def images_of(*size, batch=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *size, 3)), jnp.float32)


def of_pixels(images):
    """A class for each colour, at the resolution of the image: where a window is does not matter."""
    return DenseLogits(logits=2 * images)


def of_places(images):
    """Logits that depend on the place in a window, at half its resolution."""
    ramp = jnp.arange(images.shape[1] * images.shape[2], dtype=jnp.float32).reshape(1, *images.shape[1:3], 1)
    return DenseLogits(logits=(images * ramp / ramp.size)[:, ::2, ::2], auxiliary=images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(inference, decode, images):
    return inference.run(decode, images)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def slid(decode, images, crop, stride):
    """The loops of MMSegmentation's `EncoderDecoder.slide_inference`."""
    _, height, width, _ = images.shape
    rows = max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1
    columns = max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1
    total, count = np.zeros(images.shape), np.zeros((height, width, 1))
    for row in range(rows):
        for column in range(columns):
            bottom, right = min(row * stride[0] + crop[0], height), min(column * stride[1] + crop[1], width)
            place = slice(max(bottom - crop[0], 0), bottom), slice(max(right - crop[1], 0), right)
            window = images[:, place[0], place[1]]
            total[:, place[0], place[1]] += np.asarray(bilinear_resize(decode(window).logits, window.shape[1:3]))
            count[place] += 1
    return total / count


@pytest.mark.parametrize("size", [(6, 8), (7, 8), (11, 21), (14, 9)])
def test_windows_are_averaged_where_they_overlap(size):
    images = images_of(*size)
    found = run(Inference(mode="slide", crop=CROP, stride=STRIDE), of_places, images)
    np.testing.assert_allclose(found.logits, slid(of_places, images, CROP, STRIDE), rtol=0, atol=ATOL)
    assert found.auxiliary is None


@pytest.mark.parametrize("side", range(6, 19))
def test_windows_cover_a_side_and_the_last_one_ends_with_it(side):
    first = starts(side, 6, 4)
    assert first[0] == 0
    assert first[-1] + 6 == side
    assert len(first) == max(side - 6 + 4 - 1, 0) // 4 + 1
    assert (np.diff(first) > 0).all()
    assert (np.diff(first) <= 4).all()


def test_one_window_over_the_image_is_the_whole_image():
    images = images_of(*CROP)
    whole = bilinear_resize(run(Inference(), of_places, images).logits, CROP)
    found = run(Inference(mode="slide", crop=CROP, stride=STRIDE), of_places, images).logits
    np.testing.assert_allclose(found, whole, rtol=0, atol=ATOL)


def test_whole_images_keep_the_resolution_of_the_head_and_its_auxiliary_logits():
    images = images_of(6, 10)
    found, expected = run(Inference(), of_places, images), of_places(images)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-6)
    np.testing.assert_array_equal(found.auxiliary, images)


def test_an_image_smaller_than_a_window_is_padded_with_zeros():
    images = images_of(4, 20)
    padded = jnp.pad(images, ((0, 0), (0, 2), (0, 0), (0, 0)))
    found = slide(of_places, images, crop=CROP, stride=STRIDE)
    np.testing.assert_allclose(found, slid(of_places, padded, CROP, STRIDE)[:, :4], rtol=0, atol=ATOL)


def test_of_flips_the_probabilities_are_averaged():
    images = images_of(6, 8)
    found = run(Inference(flip=True), of_places, images).logits
    straight, mirrored = (
        softmax(np.asarray(bilinear_resize(of_places(view).logits, (6, 8)), np.float64))
        for view in (images, images[:, :, ::-1])
    )
    np.testing.assert_allclose(np.exp(found), (straight + mirrored[:, :, ::-1]) / 2, rtol=1e-5)


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_with_flips_a_mirrored_image_has_the_mirrored_prediction(mode):
    images = images_of(6, 13)
    inference = Inference(mode=mode, crop=CROP, stride=STRIDE, scales=(1.0, 1.5), flip=True)
    found = run(inference, of_places, images).logits
    mirrored = run(inference, of_places, images[:, :, ::-1]).logits
    np.testing.assert_allclose(mirrored[:, :, ::-1], found, rtol=0, atol=ATOL)


def test_of_scales_the_probabilities_are_averaged_at_the_resolution_of_the_image():
    images = images_of(5, 7)
    found = run(Inference(scales=(0.5, 1.0, 1.75)), of_pixels, images).logits
    views = []
    for size in ((3, 4), (5, 7), (9, 12)):
        logits = bilinear_resize(of_pixels(bilinear_resize(images, size)).logits, (5, 7))
        views.append(softmax(np.asarray(logits, np.float64)))
    np.testing.assert_allclose(np.exp(found), np.mean(views, axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.sum(np.exp(found), axis=-1), 1, rtol=1e-5)


def test_one_scale_gives_logits():
    images = images_of(6, 8)
    found = run(Inference(scales=(0.5,)), of_pixels, images).logits
    halved = 2 * bilinear_resize(images, (3, 4))
    np.testing.assert_allclose(found, bilinear_resize(halved, (6, 8)), rtol=0, atol=ATOL)


def test_images_of_a_batch_do_not_mix():
    inference = Inference(mode="slide", crop=CROP, stride=STRIDE, scales=(1.0, 1.5), flip=True)
    images = images_of(9, 11, batch=3)
    together = run(inference, of_places, images).logits
    for index in range(3):
        alone = run(inference, of_places, images[index : index + 1]).logits
        np.testing.assert_allclose(together[index : index + 1], alone, rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": (0, 4)}, "crop must be at least 1"),
        ({"stride": (4, 0)}, "stride must be at least 1"),
        ({"crop": (4, 4), "stride": (4, 5)}, "leaves gaps"),
        ({"scales": ()}, "scales must be positive"),
        ({"scales": (1.0, 0.0)}, "scales must be positive"),
    ],
)
def test_values_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Inference(**change)
