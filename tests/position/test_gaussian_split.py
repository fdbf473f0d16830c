"""Tables fall apart into a Gaussian and a rest that together are the table, and a Gaussian comes back as itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.grid import offset_shape
from gauss_vit.position import Gaussian
from gauss_vit.position.gaussian_split import split_gaussian
from tests.models import deterministic

VARIANTS = {
    "shared": Gaussian(),
    "per head": Gaussian(per_head=True),
    "anisotropic": Gaussian(anisotropic=True),
    "image": Gaussian(unit="image", sigma=0.3),
    "all": Gaussian(per_head=True, anisotropic=True, unit="image", sigma=0.3),
}


def params_of(gaussian, *, grid, layers=2, heads=3):
    """Different amplitudes and widths for every layer, head and axis."""
    start = gaussian.init(jax.random.key(0), grid=grid, num_heads=heads)
    return {
        name: leaf[None] * (1 + 0.3 * jnp.asarray(deterministic.values(name, (layers, *leaf.shape)), jnp.float32))
        for name, leaf in start.items()
    }


def tables_of(gaussian, params, *, grid, heads=3):
    tables = jax.vmap(lambda layer: gaussian.table(layer, grid))(params)
    return np.broadcast_to(tables, (tables.shape[0], heads, *tables.shape[2:]))


@pytest.mark.parametrize("gaussian", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("grid", [(14, 14), (5, 9)])
def test_gaussian_beside_a_constant_comes_back_as_itself(gaussian, grid):
    params = params_of(gaussian, grid=grid)
    constants = deterministic.values("constant", (2, 3, 1, 1)).astype(np.float32)
    split = split_gaussian(tables_of(gaussian, params, grid=grid) + constants, gaussian, grid=grid)
    for name, expected in params.items():
        assert split.params[name].shape == expected.shape and split.params[name].dtype == jnp.float32
        # A wide Gaussian on a small grid is nearly a parabola, which holds amplitude and width only as a product.
        np.testing.assert_allclose(split.params[name], expected, rtol=2e-3)
    # Rounded tables of logits up to 5 leave about 1e-6.
    np.testing.assert_allclose(split.residual, np.broadcast_to(constants, split.residual.shape), atol=1e-4)


@pytest.mark.parametrize("gaussian", VARIANTS.values(), ids=VARIANTS.keys())
def test_any_table_is_the_sum_of_both(gaussian):
    tables = deterministic.values("table", (2, 3, *offset_shape((4, 6)))).astype(np.float32)
    split = split_gaussian(tables, gaussian, grid=(4, 6))
    total = tables_of(gaussian, split.params, grid=(4, 6)) + split.residual
    np.testing.assert_allclose(total, tables, atol=1e-6)
    assert np.isfinite(split.residual).all() and (split.params["amplitude"] > 0).all()


def test_fit_is_the_least_squares_one_of_a_dense_search():
    tables = deterministic.values("table", (1, 1, 7, 11)).astype(np.float32)
    tables += np.asarray(tables_of(Gaussian(), params_of(Gaussian(), grid=(4, 6)), grid=(4, 6)))[:1, :1]
    split = split_gaussian(tables, Gaussian(), grid=(4, 6))

    def variance_left(sigma):
        rows, columns = np.meshgrid(np.arange(-3, 4), np.arange(-5, 6), indexing="ij")
        bump = np.exp(-(rows**2 + columns**2) / (2 * sigma**2)).reshape(-1, 1)
        design = np.concatenate([bump, np.ones_like(bump)], axis=1)
        return float(np.linalg.lstsq(design, tables.reshape(-1).astype(np.float64), rcond=None)[1][0])

    best = min(variance_left(sigma) for sigma in np.linspace(0.3, 10, 2000))
    assert variance_left(float(split.params["sigma"][0, 0])) == pytest.approx(best, rel=1e-6)


def test_dip_leaves_an_amplitude_that_can_still_learn():
    tables = -tables_of(Gaussian(), params_of(Gaussian(), grid=(5, 5)), grid=(5, 5))
    split = split_gaussian(np.asarray(tables), Gaussian(), grid=(5, 5))
    np.testing.assert_allclose(split.params["amplitude"], 0.01, rtol=1e-6)


@pytest.mark.parametrize("grid", [(1, 1), (1, 4)])
def test_smallest_grids_are_split(grid):
    tables = deterministic.values("table", (1, 2, *offset_shape(grid))).astype(np.float32)
    split = split_gaussian(tables, Gaussian(), grid=grid)
    total = tables_of(Gaussian(), split.params, grid=grid, heads=2) + split.residual
    np.testing.assert_allclose(total, tables, atol=1e-6)
