"""The Gaussian term against the paper's numbers and its own laws."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from gauss_vit.errors import ConfigError
from gauss_vit.position import Gaussian, expand

KEY = jax.random.key(0)


def params_of(term, *, grid=(14, 14), num_heads=6):
    return term.init(KEY, grid=grid, num_heads=num_heads)


def bias_of(term, grid, params=None):
    return expand(term.table(params or params_of(term, grid=grid), grid), grid)


def test_values_equal_the_papers_definition():
    # Amplitude 2, sigma 5 on 14 x 14: A^2 exp(-r^2 / (2 sigma^2)).
    bias = np.asarray(bias_of(Gaussian(), (14, 14)))[0]
    assert bias[0, 0] == 4
    np.testing.assert_allclose(bias[0, [1, 14, 195]], [3.9208, 3.9208, 0.00463692], rtol=2e-5)
    assert bias.min() == bias[0, 195]
    row = bias[90]  # patch (6, 6)
    np.testing.assert_allclose(row[[91, 92, 95, 0, 195]], [3.9208, 3.6925, 2.4261, 0.9477, 0.5634], atol=5e-5)
    assert (bias.argmax(axis=1) == np.arange(196)).all()


def test_gradients_of_the_sum_equal_the_recorded_ones():
    def total(params):
        return jnp.sum(bias_of(Gaussian(), (14, 14), params))

    gradient = jax.grad(total)(params_of(Gaussian()))
    assert gradient["amplitude"][0] == pytest.approx(63225.2, rel=1e-5)
    assert gradient["sigma"][0] == pytest.approx(15393.5, rel=1e-5)


def test_softmax_of_the_bias_alone_is_local():
    weights = np.asarray(jax.nn.softmax(bias_of(Gaussian(), (14, 14))[0, 90])).reshape(14, 14)
    assert weights[6, 6] == pytest.approx(0.0202, abs=5e-5)
    assert weights[5:8, 5:8].sum() == pytest.approx(0.164, abs=5e-4)


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (10, 14)])
def test_closed_form_holds_on_any_grid(grid):
    bias = np.asarray(bias_of(Gaussian(amplitude=1.5, sigma=2.5), grid))[0]
    rows, columns = (axis.reshape(-1) for axis in np.indices(grid))
    squared = (rows[:, None] - rows[None]) ** 2 + (columns[:, None] - columns[None]) ** 2
    np.testing.assert_allclose(bias, 2.25 * np.exp(-squared / 12.5), rtol=1e-5)


def test_bias_is_the_kronecker_product_of_its_axes():
    grid = (4, 6)
    bias = np.asarray(bias_of(Gaussian(), grid))[0]
    axes = [np.exp(-((np.arange(n)[:, None] - np.arange(n)[None]) ** 2) / 50) for n in grid]
    np.testing.assert_allclose(bias, 4 * np.kron(*axes), rtol=1e-6)


def test_sign_of_the_parameters_does_not_matter():
    plain = params_of(Gaussian())
    for name in ("amplitude", "sigma"):
        flipped = {**plain, name: -plain[name]}
        np.testing.assert_array_equal(bias_of(Gaussian(), (3, 4), flipped), bias_of(Gaussian(), (3, 4), plain))


def test_amplitude_zero_is_no_bias_and_a_dead_point():
    params = {**params_of(Gaussian()), "amplitude": jnp.zeros((1,), jnp.float32)}
    assert not np.any(bias_of(Gaussian(), (3, 4), params))
    gradient = jax.grad(lambda p: jnp.sum(bias_of(Gaussian(), (3, 4), p)))(params)
    assert gradient["amplitude"][0] == 0


def bias_table(amplitude, sigma, grid):
    y, x = (np.arange(1 - side, side) for side in grid)
    return amplitude**2 * np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * sigma**2))


def test_one_pair_a_head_gives_one_table_a_head():
    term = Gaussian(per_head=True)
    params = params_of(term, num_heads=3)
    params["sigma"] = jnp.asarray([1.0, 2.0, 4.0], jnp.float32)
    table = np.asarray(term.table(params, (3, 5)))
    assert table.shape == (3, 5, 9)
    for head, sigma in enumerate((1.0, 2.0, 4.0)):
        assert table[head, 3, 4] == pytest.approx(4 * np.exp(-1 / (2 * sigma**2)))


@pytest.mark.parametrize("shapes", [((3,), (1,)), ((1,), (3,))])
@pytest.mark.parametrize("anisotropic", [False, True])
def test_heads_may_share_one_of_the_two(shapes, anisotropic):
    amplitude, sigma = jnp.full(shapes[0], 2.0, jnp.float32), jnp.full(shapes[1], 1.5, jnp.float32)
    widths = jnp.stack([sigma, sigma]) if anisotropic else sigma
    table = Gaussian(anisotropic=anisotropic).table({"amplitude": amplitude, "sigma": widths}, (3, 4))
    assert table.shape == (3, 5, 7)
    np.testing.assert_allclose(table, jnp.broadcast_to(bias_table(2.0, 1.5, (3, 4)), table.shape), rtol=1e-6)


def test_anisotropic_widths_act_on_their_own_axis():
    term = Gaussian(anisotropic=True)
    params = params_of(term)
    params["sigma"] = jnp.asarray([[1.0], [3.0]], jnp.float32)
    table = np.asarray(term.table(params, (4, 4)))[0]
    assert table[4, 3] == pytest.approx(4 * np.exp(-1 / 2))
    assert table[3, 4] == pytest.approx(4 * np.exp(-1 / 18))


def test_a_window_of_an_image_has_the_middle_of_its_table():
    whole = Gaussian(sigma=0.25, unit="image")
    window = Gaussian(sigma=0.25, unit="image", image=(6, 8))
    params = whole.init(KEY, grid=(6, 8), num_heads=1)
    table = whole.table(params, (6, 8))
    np.testing.assert_array_equal(window.table(params, (3, 4)), table[:, 3:-3, 4:-4])
    np.testing.assert_array_equal(window.table(params, (6, 8)), table)


@pytest.mark.parametrize(
    ("grid", "widths"), [((4, 8), {"sigma_x": 2.0, "sigma_y": 1.0}), ((8, 8), {"sigma": 2.0})], ids=str
)
def test_widths_in_patches_are_two_where_the_image_is_not_square(grid, widths):
    term = Gaussian(sigma=0.25, unit="image")
    params = {name: np.asarray(leaf)[None] for name, leaf in params_of(term).items()}
    found = {name: float(value[0, 0]) for name, value in term.numbers(params, grid).items()}
    assert found == widths | {"amplitude": 2.0}


def test_units_of_the_image_do_not_depend_on_resolution():
    term = Gaussian(sigma=0.25, unit="image")
    coarse = np.asarray(term.table(params_of(term), (4, 8)))[0]
    fine = np.asarray(term.table(params_of(term), (8, 16)))[0]
    np.testing.assert_allclose(coarse, fine[1::2, 1::2], rtol=1e-6)


@jax.jit
def derivatives_of_the_sum(params):
    def total(params):
        return jnp.sum(Gaussian().table(params, (3, 5)))

    return total(params), jax.grad(total)(params), jax.hessian(total)(params)


@settings(max_examples=40, deadline=None)
@given(sigma=st.sampled_from((0.0, 1e-12, 1e-6, 1e-3, 1.0, 1e3, 1e6, 1e20)), sign=st.sampled_from((-1, 1)))
def test_bias_and_derivatives_are_finite_for_every_sigma(sigma, sign):
    params = {"amplitude": jnp.full((1,), 2, jnp.float32), "sigma": jnp.full((1,), sign * sigma, jnp.float32)}

    chex.assert_tree_all_finite(derivatives_of_the_sum(params))


def test_gradients_agree_with_finite_differences():
    def table(params):
        return Gaussian().table(jax.tree.map(jnp.asarray, params), (3, 4))

    # Float32 differences over steps of 1e-2 are good to about 1e-2.
    check_grads(table, (params_of(Gaussian()),), order=1, modes=["rev"], rtol=2e-2, eps=1e-2)


def by_the_equation(params, grid):
    """Equation 3 of the paper, one sigma an axis, for automatic differentiation."""
    sigma = params["sigma"].reshape(-1, params["sigma"].shape[-1], 1, 1)
    y, x = (jnp.arange(1 - side, side, dtype=jnp.float32) for side in grid)
    exponent = (y[None, :, None] / sigma[0]) ** 2 / 2 + (x[None, None, :] / sigma[-1]) ** 2 / 2
    return params["amplitude"][:, None, None] ** 2 * jnp.exp(-exponent)


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("anisotropic", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_derivatives_are_those_of_the_equation(per_head, anisotropic, sign):
    grid = (3, 4)
    term = Gaussian(sigma=1.5, per_head=per_head, anisotropic=anisotropic)
    params = params_of(term, num_heads=2)
    params = jax.tree.map(lambda leaf: leaf + jnp.arange(leaf.size, dtype=jnp.float32).reshape(leaf.shape), params)
    params["sigma"] = sign * params["sigma"]
    weights = jax.random.normal(KEY, (2, 5, 7), jnp.float32)

    def derivatives(table):
        def total(params):
            return jnp.sum(weights * jnp.broadcast_to(table(params), weights.shape) ** 2)

        def all_of(params):
            moved = jax.jvp(total, (params,), (jax.tree.map(jnp.ones_like, params),))
            return moved, jax.grad(total)(params), jax.hessian(total)(params)

        return jax.jit(all_of)(params)

    with jax.numpy_rank_promotion("allow"):
        found = derivatives(lambda params: term.table(params, grid))
        wanted = derivatives(lambda params: by_the_equation(params, grid))
    chex.assert_trees_all_close(found, wanted, rtol=2e-4, atol=1e-4)


def test_parameters_in_half_precision_still_give_a_float32_table():
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params_of(Gaussian()))
    table = Gaussian().table(params, (3, 4))
    assert table.dtype == jnp.float32
    np.testing.assert_array_equal(table, Gaussian().table(params_of(Gaussian()), (3, 4)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"amplitude": 0.0},
        {"amplitude": float("nan")},
        {"amplitude": 1e20},
        {"sigma": 0.0},
        {"sigma": -1.0},
        {"sigma": float("inf")},
        {"image": (0, 14)},
    ],
)
def test_start_values_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Gaussian(**wrong)
