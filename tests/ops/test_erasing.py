"""Random erasing against its definition."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gauss_vit.errors import ConfigError
from gauss_vit.ops.erasing import Erasing, draw_boxes, erase

SIZE = (24, 32)
ALWAYS = Erasing(probability=1.0)


def boxes_of(erasing: Erasing, num: int = 600) -> np.ndarray:
    return np.asarray(jax.jit(lambda key: draw_boxes(erasing, (num, *SIZE), key=key))(jax.random.key(1)))


def extents(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return boxes.any(axis=2).sum(axis=1), boxes.any(axis=1).sum(axis=1)


def test_erased_pixels_form_one_box():
    boxes = boxes_of(ALWAYS)
    height, width = extents(boxes)
    np.testing.assert_array_equal(boxes.sum(axis=(1, 2)), height * width)
    for mask, sides in ((boxes.any(axis=2), height), (boxes.any(axis=1), width)):
        first, last = mask.argmax(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1)
        np.testing.assert_array_equal(last - first, sides)


def test_area_and_aspect_are_drawn_from_their_ranges():
    erasing = Erasing(probability=1.0, area=(0.05, 0.2), aspect=(0.5, 2.0))
    height, width = extents(boxes_of(erasing))
    # Both sides are rounded to whole pixels, of which there are at least four.
    share = height * width / (SIZE[0] * SIZE[1])
    assert share.min() > 0.04 and share.max() < 0.23
    assert share.mean() == pytest.approx(0.125, abs=0.01)
    logarithm = np.log(height / width)
    assert abs(logarithm).max() < np.log(2.0) + 0.2
    assert logarithm.mean() == pytest.approx(0.0, abs=0.06)


def test_boxes_lie_everywhere_inside_the_image():
    covered = boxes_of(ALWAYS).mean(axis=0)
    assert covered.min() > 0
    np.testing.assert_allclose(covered, covered[::-1, ::-1], atol=0.1)  # Symmetric up to the noise of 600 draws.


def test_images_are_erased_with_their_probability():
    erased = boxes_of(Erasing(probability=0.25)).any(axis=(1, 2))
    assert erased.mean() == pytest.approx(0.25, abs=0.055)


def test_box_as_large_as_the_image_is_never_taken():
    assert not boxes_of(Erasing(probability=1.0, area=(1.0, 1.0), aspect=(1.0, 1.0))).any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_box_is_noise_and_the_rest_is_untouched(dtype: str):
    images = jnp.full((200, *SIZE, 3), 7.0, dtype)
    erased = erase(images, ALWAYS, key=jax.random.key(2))
    noise = np.asarray(erased[erased != 7], np.float64)
    assert erased.dtype == images.dtype and noise.size > 10_000
    assert noise.mean() == pytest.approx(0.0, abs=0.05)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    assert 0.1 < (np.asarray(erased[:, :, :, 0]) != 7).mean() < 0.25


def test_off_changes_nothing():
    images = jnp.ones((1, *SIZE, 3))
    np.testing.assert_array_equal(erase(images, Erasing(), key=jax.random.key(0)), images)


def test_same_key_has_the_same_result_on_one_and_on_eight_devices():
    images = jnp.zeros((16, *SIZE, 3))
    spread = jax.device_put(images, NamedSharding(Mesh(np.asarray(jax.devices()), ("data",)), PartitionSpec("data")))
    run = jax.jit(lambda images: erase(images, ALWAYS, key=jax.random.key(5)))
    np.testing.assert_array_equal(run(images), run(spread))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": 2.0}, "probability must be"),
        ({"area": (0.5, 0.1)}, "area must be"),
        ({"area": (0.0, 0.1)}, "area must be"),
        ({"aspect": (0.0, 1.0)}, "aspect must be"),
    ],
)
def test_nonsense_is_refused(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(Erasing(), **change)
