"""Relative tables and networks against the formulas of Swin, SwinV2 and timm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import AbsoluteEmbedding, RelativeMlp, RelativeTable
from gauss_vit.position.term import MASKED
from gauss_vit.position.terms.relative_mlp import log_offsets

KEY = jax.random.key(1)


def test_table_is_its_parameter():
    params = RelativeTable().init(KEY, grid=(3, 4), num_heads=2)
    np.testing.assert_array_equal(RelativeTable().table(params, (3, 4)), params["table"])


def test_table_starts_normal_with_the_given_deviation():
    table = RelativeTable().init(KEY, grid=(20, 20), num_heads=8)["table"]
    assert float(jnp.std(table)) == pytest.approx(0.02, rel=0.03)
    assert not np.any(RelativeTable(init_std=0.0).init(KEY, grid=(2, 2), num_heads=1)["table"])


@pytest.mark.parametrize("value", [RelativeTable, AbsoluteEmbedding])
@pytest.mark.parametrize("deviation", [-0.02, float("nan"), float("inf")])
def test_deviations_that_cannot_be_are_refused(value, deviation):
    with pytest.raises(ConfigError, match="init_std must be finite and not negative"):
        value(init_std=deviation)


def test_table_of_another_grid_is_refused():
    params = RelativeTable().init(KEY, grid=(3, 4), num_heads=2)
    with pytest.raises(ValueError, match="needs a table"):
        RelativeTable().table(params, (4, 4))


def test_masked_offsets_are_not_interpolated():
    table = np.zeros((2, 3, 5), np.float32)
    table[1, 0, 0] = MASKED
    with pytest.raises(ConfigError, match=r"masked offsets cannot be resampled from a grid of \(2, 3\) to \(4, 6\)"):
        RelativeTable().resample({"table": table}, source=(2, 3), target=(4, 6))


def test_cr_offsets_are_signed_logarithms_in_patches():
    offsets = log_offsets((14, 14), mode="cr", reference=(14, 14))
    assert offsets.max() == pytest.approx(2.63906, abs=1e-5)
    assert offsets.min() == -offsets.max()
    np.testing.assert_allclose(offsets[13 + 2, 13 - 5], [np.log(3), -np.log(6)], rtol=1e-6)


def test_swin_offsets_are_relative_to_the_window():
    offsets = log_offsets((8, 8), mode="swin", reference=(8, 8))
    assert offsets.max() == pytest.approx(1.0566, abs=1e-4)
    np.testing.assert_allclose(log_offsets((16, 16), mode="swin", reference=(8, 8))[15 + 7, 15], [1.0566, 0], atol=1e-4)


def numpy_mlp(params, coordinates):
    hidden = np.maximum(coordinates @ params["fc1_kernel"] + params["fc1_bias"], 0)
    return hidden @ params["fc2_kernel"] + params.get("fc2_bias", np.float32(0))


@pytest.mark.parametrize("mode", ["cr", "swin"])
def test_network_equals_its_formula(mode):
    term, grid = RelativeMlp(hidden=16, mode=mode), (3, 5)
    params = term.init(KEY, grid=grid, num_heads=2)
    expected = numpy_mlp(jax.tree.map(np.asarray, params), log_offsets(grid, mode=mode, reference=grid))
    if mode == "swin":
        assert "fc2_bias" not in params
        expected = 16 / (1 + np.exp(-expected))
    np.testing.assert_allclose(term.table(params, grid), np.moveaxis(expected, -1, 0), rtol=1e-5)


def test_network_of_swin_starts_normal_as_its_dense_layers():
    params = RelativeMlp(hidden=512, mode="swin").init(KEY, grid=(2, 2), num_heads=6)
    assert set(params) == {"fc1_kernel", "fc1_bias", "fc2_kernel"}
    assert float(jnp.std(params["fc2_kernel"])) == pytest.approx(0.02, rel=0.05)
    assert not np.any(params["fc1_bias"])


def test_network_starts_within_the_bounds_of_pytorchs_default():
    params = RelativeMlp(hidden=128).init(KEY, grid=(2, 2), num_heads=6)
    for name, fan_in in {"fc1_kernel": 2, "fc1_bias": 2, "fc2_kernel": 128, "fc2_bias": 128}.items():
        assert float(jnp.abs(params[name]).max()) <= fan_in**-0.5
    assert float(jnp.abs(params["fc2_kernel"]).max()) > 0.95 * 128**-0.5


def test_dropout_acts_only_with_a_key():
    term, grid = RelativeMlp(dropout=0.5), (3, 5)
    params = term.init(KEY, grid=grid, num_heads=2)
    still = term.table(params, grid)
    np.testing.assert_array_equal(still, term.table(params, grid))
    draws = jnp.stack([term.table(params, grid, key=key) for key in jax.random.split(KEY, 300)])
    assert not np.allclose(draws[0], still)
    # The mean over draws approaches the undropped table: deviation 0.2 or so over sqrt(300).
    assert float(jnp.abs(jnp.mean(draws, axis=0) - still).max()) < 0.1


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"dropout": 1.0}, {"reference": (0, -3)}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RelativeMlp(**wrong)


@pytest.mark.parametrize(("embeds_prefix", "tokens"), [(True, 7), (False, 6)])
def test_absolute_embedding_covers_the_prefix_if_asked(embeds_prefix, tokens):
    drawn = AbsoluteEmbedding(embeds_prefix=embeds_prefix).init(KEY, grid=(2, 3), prefix_tokens=1, width=8)
    assert drawn.shape == (tokens, 8)
    assert drawn.dtype == jnp.float32
