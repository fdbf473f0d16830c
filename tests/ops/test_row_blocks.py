"""Maps at the size of images: torch's bilinear interpolation, whatever the blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops import row_blocks
from gauss_vit.ops.row_blocks import bilinear, joined_blocks, map_row_blocks
from tests.tolerance import of_sums

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(3, 4, 5, 2)).astype(np.float32)
COMPANION = jnp.asarray(RANDOM.integers(9, size=(3, 90, 7)), jnp.int32)


def interpolated(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolates one map along its columns, then along its rows, in float64."""
    for axis, target in enumerate(size):
        source = values.shape[axis]
        places = (np.arange(target) + 0.5) * source / target - 0.5
        along = np.moveaxis(values, axis, 0).reshape(source, -1)
        lines = np.stack([np.interp(places, np.arange(source), line) for line in along.T.astype(np.float64)], axis=1)
        values = np.moveaxis(lines.reshape(target, *np.delete(values.shape, axis)), 0, axis)
    return values


@jax.jit
def resized(maps, size):
    """Resamples to sizes of each image's own on a canvas of 90 x 7."""
    resampling = bilinear((4, 5), size, canvas=(90, 7))
    blocks, rows = map_row_blocks(lambda block, rows: (block, rows), maps, resampling, COMPANION)
    return joined_blocks(blocks, height=90), joined_blocks(rows, height=90)


SIZES = jnp.asarray([[90, 7], [3, 6], [1, 1]], jnp.int32)


def test_each_image_has_its_size_in_the_corner_of_the_canvas():
    found, _ = resized(MAPS, SIZES)
    for values, given, (height, width) in zip(found, MAPS, np.asarray(SIZES), strict=True):
        np.testing.assert_allclose(values[:height, :width], interpolated(given, (height, width)), atol=4 * of_sums(9))


def test_companions_are_cut_like_the_maps():
    np.testing.assert_array_equal(resized(MAPS, SIZES)[1], COMPANION)


def test_missing_rows_of_the_last_block_are_zeros(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", 2)

    @jax.jit
    def cut(maps, rows):
        resampling = bilinear((4, 5), jnp.asarray([[5, 5]], jnp.int32), canvas=(5, 5))
        return map_row_blocks(lambda *block: block, maps, resampling, rows)

    maps, rows = cut(MAPS, COMPANION[:, :5])
    assert maps.shape == (3, 3, 2, 5, 2) and rows.shape == (3, 3, 2, 7)
    assert not np.any(maps[-1, :, 1:]) and not np.any(rows[-1, :, 1:])
    np.testing.assert_array_equal(rows[:2], np.moveaxis(np.reshape(COMPANION[:, :4], (3, 2, 2, 7)), 1, 0))


def test_two_changes_of_size_are_one():
    def both(maps):
        once = bilinear((4, 5), jnp.asarray([[8, 11]], jnp.int32), canvas=(8, 11))
        return map_row_blocks(lambda block, _: block, maps, once.then(bilinear((8, 11), SIZES, canvas=(90, 7))), ())

    found = joined_blocks(jax.jit(both)(MAPS), height=90)
    expected = interpolated(interpolated(MAPS[0], (8, 11)), (90, 7))
    np.testing.assert_allclose(found[0], expected, atol=4 * of_sums(9 + 19))


def test_size_of_zero_is_finite():
    assert np.all(np.isfinite(resized(MAPS, jnp.zeros((3, 2), jnp.int32))[0]))


@pytest.mark.parametrize(("platform", "precision"), [("cuda", "HIGHEST"), ("tpu", "HIGH")])
def test_logits_are_not_rounded_to_tf32_on_gpus(platform: str, precision: str):
    def total(maps):
        resampling = bilinear((4, 5), jnp.asarray([[8, 11]], jnp.int32), canvas=(8, 11))
        return jnp.sum(map_row_blocks(lambda block, _: jnp.square(block), maps, resampling, ()))

    text = jax.jit(jax.grad(total)).trace(MAPS).lower(lowering_platforms=(platform,)).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    # Columns, rows in the backward pass alone, which computes them again, and the two products that it adds.
    assert len(products) == 4
    assert all(f"[{precision}, {precision}]" in line for line in products)
