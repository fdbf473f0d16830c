"""Rotary embeddings: equal to timm's, and the laws that they obey."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gauss_vit.errors import ConfigError
from gauss_vit.position.rotary import angles, rotate
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.position.rotary_mixed import MixedRotary

GRID, HEADS, CHANNELS = (3, 5), 2, 16
REFERENCE = np.load(Path(__file__).parent / "rotary_reference.npz")
KEY = jax.random.key(0)
OURS = {
    "eva02": AxialRotary(base=10000.0, reference=(16, 16)),
    "rope_vit": AxialRotary(order="xy"),
    "dinov3": AxialRotary(coordinates="centered", pairing="half"),
    "mixed": MixedRotary(),
}


def params_of(rotary, channels=CHANNELS):
    return rotary.init(KEY, num_heads=HEADS, channels=channels)


def rotated(rotary, values, params=None, grid=GRID, prefix_tokens=0):
    params = params_of(rotary) if params is None else params
    turned = angles(rotary, params, grid, channels=values.shape[-1], prefix_tokens=prefix_tokens)
    return rotate(values, turned, layout=rotary.layout)


def normal(shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


@pytest.mark.parametrize("name", OURS)
def test_rotation_is_that_of_timm(name):
    # Ours has y before x.
    params = {"frequencies": jnp.asarray(REFERENCE["frequencies"][::-1].copy())}
    found = rotated(OURS[name], jnp.asarray(REFERENCE["values"]), params)
    np.testing.assert_allclose(found, REFERENCE[name], atol=1e-6)


def oracle(values, frequencies, places):
    """Rotation by complex numbers in float64; neighbouring channels are the real and the imaginary part."""
    down, across = (np.asarray(each, np.float64) for each in frequencies)
    rows, columns = (np.asarray(each, np.float64) for each in places)
    turned = down[:, None, None] * rows[None, :, None, None] + across[:, None, None] * columns[None, None, :, None]
    turned = turned.reshape(len(down), -1, down.shape[-1]).transpose(1, 0, 2)
    values = np.asarray(values, np.float64)
    product = (values[..., ::2] + 1j * values[..., 1::2]) * np.exp(1j * turned)[None]
    return np.stack([product.real, product.imag], axis=-1).reshape(values.shape)


@pytest.mark.parametrize("batch", [1, 2])
def test_rotation_is_multiplication_by_a_unit_complex_number(batch):
    rotary, values = MixedRotary(), normal((batch, 15, HEADS, CHANNELS))
    expected = oracle(values, params_of(rotary)["frequencies"], rotary.places(GRID))
    np.testing.assert_allclose(rotated(rotary, values), expected, atol=2e-6)


@pytest.mark.parametrize("name", OURS)
def test_products_depend_on_the_offset_alone(name):
    rotary = OURS[name]
    query, key = (jnp.broadcast_to(normal((HEADS, CHANNELS), seed), (1, 15, HEADS, CHANNELS)) for seed in (1, 2))
    products = np.einsum("bqhc,bkhc->hqk", rotated(rotary, query), rotated(rotary, key)).reshape(HEADS, *GRID, *GRID)
    # From (1, 2) to (0, 4) as from (2, 1) to (1, 3); the angles of large coordinates are rounded.
    np.testing.assert_allclose(products[:, 1, 2, 0, 4], products[:, 2, 1, 1, 3], atol=1e-4)
    assert np.abs(products[:, 1, 2, 0, 4] - products[:, 1, 2, 1, 2]).min() > 1e-3


@pytest.mark.parametrize("name", OURS)
def test_lengths_do_not_change(name):
    values = normal((2, 15, HEADS, CHANNELS))
    lengths = np.linalg.norm(rotated(OURS[name], values), axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(values, axis=-1), rtol=1e-5)


@pytest.mark.parametrize("name", OURS)
def test_prefix_tokens_are_not_rotated(name):
    values = normal((2, 17, HEADS, CHANNELS))
    found = rotated(OURS[name], values, prefix_tokens=2)
    np.testing.assert_array_equal(found[:, :2], values[:, :2])
    np.testing.assert_array_equal(found[:, 2:], rotated(OURS[name], values[:, 2:]))


@pytest.mark.parametrize("name", OURS)
def test_bfloat16_is_rounded_once(name):
    values = normal((1, 15, HEADS, CHANNELS)).astype(jnp.bfloat16)
    found = rotated(OURS[name], values)
    assert found.dtype == jnp.bfloat16
    exact = rotated(OURS[name], values.astype(jnp.float32))
    np.testing.assert_array_equal(found, exact.astype(jnp.bfloat16))


def test_centred_coordinates_and_scaled_indices_keep_their_place_on_finer_grids():
    for rotary, shift in ((OURS["dinov3"], np.pi / 3), (OURS["eva02"], 0.0)):
        coarse, fine = rotary.places((3, 5)), rotary.places((9, 15))
        for few, many in zip(coarse, fine, strict=True):
            # Centred, the middle one of three finer patches is where the coarse one was.
            start = 1 if shift else 0
            np.testing.assert_allclose(many[start::3], few, rtol=1e-6, atol=1e-6)


def test_frequencies_of_every_head_start_at_right_angles():
    down, across = MixedRotary(base=10.0).init(KEY, num_heads=3, channels=16)["frequencies"]
    lengths = np.hypot(down, across)
    sizes = 10.0 ** -(np.arange(4) / 4)
    np.testing.assert_allclose(lengths, np.tile(np.concatenate([sizes, sizes]), (3, 1)), rtol=1e-6)
    crossed = down[:, :4] * down[:, 4:] + across[:, :4] * across[:, 4:]
    np.testing.assert_allclose(crossed, 0, atol=1e-6)
    assert len(np.unique(np.round(np.arctan2(down[:, 0], across[:, 0]), 3))) == 3


def test_gradients_of_frequencies_and_values():
    rotary, values = MixedRotary(), normal((1, 6, HEADS, 4))
    params = params_of(rotary, channels=4)

    def apply(*arrays):
        params, values = jax.tree.map(jnp.asarray, arrays)
        return rotated(rotary, values, params, grid=(2, 3))

    # Small steps drown in float32's rounding.
    check_grads(apply, (params, values), order=1, modes=["rev"], rtol=2e-2, eps=1e-2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": 1.0},
        {"base": float("nan")},
        {"reference": (0, 3)},
        {"reference": (3, 3), "coordinates": "centered"},
    ],
)
def test_values_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError):
        AxialRotary(**wrong)


def test_a_mixed_base_of_one_is_refused():
    with pytest.raises(ConfigError, match="base must be finite and above 1"):
        MixedRotary(base=1.0)
