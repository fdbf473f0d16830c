"""Mixup and CutMix against their definitions."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gauss_vit.errors import ConfigError
from gauss_vit.ops.mixing import Mixing, Mixture, blend, cut, dominant_label, draw_weights, mix

SIZE = (6, 10)
ALL_REAL = jnp.ones(4, bool)


def images_of(batch: int, dtype: str = "float32") -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *SIZE, 3)), dtype)


def numpy_box(share: float, center: tuple[int, int]) -> np.ndarray:
    """The box of timm's `rand_bbox`, clipped to the image."""
    is_box = np.zeros(SIZE, bool)
    bounds = []
    for length, middle in zip(SIZE, center, strict=True):
        extent = int(length * np.sqrt(1 - share))
        low, high = np.clip([middle - extent // 2, middle + (extent + 1) // 2], 0, length)
        bounds.append(slice(low, high))
    is_box[tuple(bounds)] = True
    return is_box


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("center", [(0, 0), (3, 5), (5, 9)])
def test_whole_share_is_the_identity(dtype: str, center: tuple[int, int]):
    images, whole = images_of(4, dtype), jnp.float32(1)
    for weights in (blend(whole, SIZE), cut(whole, SIZE, center_yx=jnp.asarray(center, jnp.int32))):
        mixed, share = mix(images, weights, is_real=ALL_REAL)
        assert mixed.dtype == images.dtype
        np.testing.assert_array_equal(mixed, images)
        np.testing.assert_array_equal(share, np.ones(4, np.float32))


def test_mixup_is_the_weighted_sum_with_the_mirrored_batch():
    images = images_of(4)
    mixed, share = mix(images, blend(jnp.float32(0.3), SIZE), is_real=ALL_REAL)
    np.testing.assert_allclose(mixed, 0.3 * images + 0.7 * images[::-1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(share, np.full(4, 0.3), rtol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("center", [(0, 0), (3, 5), (5, 0), (2, 9)])
def test_cutmix_pastes_the_box_of_timm_and_counts_its_pixels(share: float, center: tuple[int, int]):
    images, is_box = images_of(4), numpy_box(share, center)
    weights = cut(jnp.float32(share), SIZE, center_yx=jnp.asarray(center, jnp.int32))
    mixed, own = mix(images, weights, is_real=ALL_REAL)
    expected = np.where(is_box[None, :, :, None], images[::-1], images)
    np.testing.assert_array_equal(mixed, expected)
    np.testing.assert_allclose(own, np.full(4, 1 - is_box.mean()), rtol=1e-6)


def test_padding_neither_mixes_in_nor_is_mixed():
    images, is_real = images_of(5), jnp.asarray([True, True, True, False, True])
    mixed, share = mix(images, blend(jnp.float32(0.25), SIZE), is_real=is_real)
    for index in (1, 3):
        np.testing.assert_array_equal(mixed[index], images[index])
        assert share[index] == 1
    np.testing.assert_allclose(mixed[0], 0.25 * images[0] + 0.75 * images[4], rtol=1e-6, atol=1e-6)


def test_batch_of_one_is_mixed_with_itself():
    images = images_of(1)
    mixed, _ = mix(images, blend(jnp.float32(0.25), SIZE), is_real=jnp.ones(1, bool))
    np.testing.assert_allclose(mixed, images, rtol=1e-6, atol=1e-6)


def test_dominant_class_is_that_of_the_larger_share():
    mixture = Mixture(partner_label=jnp.asarray([7, 8, 9], jnp.int32), share=jnp.asarray([0.2, 0.5, 0.9], jnp.float32))
    assert dominant_label(jnp.asarray([1, 2, 3], jnp.int32), mixture).tolist() == [7, 2, 3]


class Drawn(NamedTuple):
    """Weights on the host."""

    pixels: np.ndarray
    share: np.ndarray


def draws(mixing: Mixing, num: int = 400) -> list[Drawn]:
    keys = jax.random.split(jax.random.key(0), num)
    pixels, share = jax.jit(jax.vmap(lambda key: tuple(vars(draw_weights(mixing, SIZE, key=key)).values())))(keys)
    return [Drawn(*each) for each in zip(np.asarray(pixels), np.asarray(share), strict=True)]


def kinds(drawn: list[Drawn]) -> dict[str, float]:
    """The shares of batches that are cut, blended and left alone."""
    names = []
    for weights in drawn:
        values = np.unique(weights.pixels)
        cut_or_whole = set(values.tolist()) <= {0.0, 1.0}
        names.append("whole" if weights.share == 1 else "cut" if cut_or_whole else "blend")
    return {name: names.count(name) / len(names) for name in ("whole", "cut", "blend")}


def test_kinds_come_with_their_probabilities():
    both = kinds(draws(Mixing(mixup=1.0, cutmix=1.0, probability=0.8, switch_probability=0.25)))
    # Three standard deviations of 400 draws; a cut of no pixel counts as whole.
    assert both["blend"] == pytest.approx(0.6, abs=0.075)
    assert both["cut"] == pytest.approx(0.2, abs=0.07)
    assert kinds(draws(Mixing(mixup=0.5)))["cut"] == 0
    assert kinds(draws(Mixing(cutmix=0.5)))["blend"] == 0


@pytest.mark.parametrize("shape", [0.2, 1.0])
def test_share_of_mixup_is_beta_distributed(shape: float):
    shares = np.asarray([weights.share for weights in draws(Mixing(mixup=shape), 2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * shape + 1)), rel=0.1)


def test_share_is_the_mean_of_the_weights():
    for weights in draws(Mixing(mixup=0.8, cutmix=1.0), 20):
        np.testing.assert_allclose(weights.share, np.mean(weights.pixels), rtol=1e-5)


def test_same_key_has_the_same_result_on_one_and_on_eight_devices():
    def run(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = draw_weights(Mixing(mixup=0.8, cutmix=1.0), SIZE, key=jax.random.key(3))
        return mix(images, weights, is_real=jnp.ones(16, bool))

    images = images_of(16)
    spread = jax.device_put(images, NamedSharding(Mesh(np.asarray(jax.devices()), ("data",)), PartitionSpec("data")))
    for one, eight in zip(jax.jit(run)(images), jax.jit(run)(spread), strict=True):
        np.testing.assert_array_equal(one, eight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixup": -1.0}, "mixup must be"),
        ({"cutmix": float("inf")}, "cutmix must be"),
        ({"probability": 1.5}, "probability must be"),
        ({"switch_probability": -0.5}, "switch_probability must be"),
    ],
)
def test_nonsense_is_refused(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(Mixing(), **change)
