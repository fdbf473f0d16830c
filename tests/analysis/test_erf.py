"""Receptive fields against closed forms: kernels of linear stacks, one patch of an identity, sums over images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from gauss_vit.analysis.erf import ErfBatch, accumulate, batch_of, begin, check_target, feature_grid, receptive_field
from gauss_vit.analysis.protocol import BMVC2023, LUO2016, PRE_NORM, RANDOM_PROJECTION, REPLKNET
from gauss_vit.analysis.token import all_tokens, patch_box
from gauss_vit.errors import ConfigError
from tests import tolerance

GRID, PATCH = (10, 14), 4
IMAGE_SIZE = (GRID[0] * PATCH, GRID[1] * PATCH)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def images(num_images, seed=0):
    return jnp.asarray(draw(seed, num_images, *IMAGE_SIZE, 3))


def tokens_of(pictures, weights):
    """Embeds patches linearly: [batch, rows, columns, channels]."""
    batch = pictures.shape[0]
    patches = pictures.reshape(batch, GRID[0], PATCH, GRID[1], PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return patches.reshape(batch, *GRID, -1) @ weights


def convolve(values, kernel):
    return jax.lax.conv_general_dilated(values, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def normalise(values):
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt(variance + jnp.asarray(1e-6, values.dtype))


EMBED = jnp.asarray(draw(1, PATCH * PATCH * 3, 16))
MIX = jnp.asarray(draw(2, 3, 3, 16, 16))


def curved(pictures):
    """A small network that mixes patches and is not linear."""
    return jnp.tanh(convolve(jnp.tanh(tokens_of(pictures, EMBED) / 7), MIX) / 12)


def normed(pictures):
    return normalise(curved(pictures))


def assert_equal_maps(found, expected):
    """Compares maps of `curved` up to rounding, which is that of the largest value: terms of either sign cancel.

    A patch sums 48 pixels, its neighbourhood 9 x 16 channels, the target 16 channels and 3 colours.
    """
    bound = tolerance.of_sums(48 + 9 * 16 + 16 + 3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.max(expected))


def box_of(token):
    top, left, height, width = (int(side) for side in patch_box(token, grid=GRID, image_size=IMAGE_SIZE))
    return slice(top, top + height), slice(left, left + width)


@pytest.mark.parametrize("token", [(4, 6), (0, 0), (9, 3)])
def test_a_linear_stack_has_its_analytic_kernel(token):
    # Weight of pixel p in patch q for target n: sum over channels of embed[p, c] * sum over d of mix[q - n + 1, c, d].
    per_offset = np.asarray(MIX, np.float64).sum(axis=3) / 16
    per_pixel = np.asarray(EMBED, np.float64).reshape(PATCH, PATCH, 3, 16).mean(axis=2)
    expected = np.zeros(IMAGE_SIZE)
    for dy, dx in all_tokens((3, 3)):
        patch = (token[0] + dy - 1, token[1] + dx - 1)
        if 0 <= patch[0] < GRID[0] and 0 <= patch[1] < GRID[1]:
            expected[box_of(patch)] = np.maximum(per_pixel @ per_offset[dy, dx], 0)
    result = receptive_field(lambda pictures: convolve(tokens_of(pictures, EMBED), MIX), images(2), token=token)
    np.testing.assert_allclose(result.values, expected / expected.sum(), atol=1e-8)
    assert result.num_images == 2
    assert result.grid == GRID


def test_identity_attention_sees_exactly_one_patch():
    def features(pictures):
        tokens = tokens_of(pictures, EMBED).reshape(pictures.shape[0], -1, 16)
        logits = jnp.float32(1e4) * jnp.eye(tokens.shape[1], dtype=jnp.float32)
        attention = jax.nn.softmax(logits, axis=-1)
        return jnp.einsum("qk,bkc->bqc", attention, tokens).reshape(-1, *GRID, 16)

    values = receptive_field(features, images(3)).values
    inside = values[box_of((4, 6))]
    assert inside.sum() == values.sum()
    assert (values > 0).sum() == (inside > 0).sum() > 0


def test_uniform_attention_sees_every_patch_alike():
    def features(pictures):
        tokens = tokens_of(pictures, EMBED)
        return jnp.broadcast_to(tokens.mean(axis=(1, 2), keepdims=True), tokens.shape)

    values = receptive_field(features, images(1)).values
    shares = values.reshape(GRID[0], PATCH, GRID[1], PATCH).sum(axis=(1, 3))
    np.testing.assert_allclose(shares, 1 / (GRID[0] * GRID[1]), rtol=1e-5)


def test_a_batch_is_the_sum_of_its_images_one_by_one():
    pictures = images(5)
    together = accumulate(curved, [batch_of(pictures)], tokens=((4, 6), (0, 13)))
    apart = accumulate(curved, [batch_of(pictures[i : i + 1]) for i in range(5)], tokens=((4, 6), (0, 13)))
    assert together.num_images == apart.num_images == 5
    assert_equal_maps(together.values, apart.values)


def test_negative_gradients_are_cut_for_each_image():
    pictures = images(4)
    total = accumulate(curved, [batch_of(pictures)], tokens=((4, 6),)).values[0]
    gradient = np.asarray(jax.grad(lambda x: curved(x)[:, 4, 6].mean(axis=-1).sum())(pictures), np.float64).mean(
        axis=-1
    )
    assert_equal_maps(total, np.maximum(gradient, 0).sum(axis=0))
    assert np.abs(total - np.maximum(gradient.sum(axis=0), 0)).max() > 0.1 * total.max()


def test_padding_counts_for_nothing():
    padded = ErfBatch(image=images(4), is_real=jnp.asarray([True, True, False, False]))
    total = accumulate(curved, [padded], tokens=((4, 6),))
    alone = accumulate(curved, [batch_of(images(4)[:2])], tokens=((4, 6),))
    assert total.num_images == 2
    assert_equal_maps(total.values, alone.values)


def test_every_token_in_one_pass_is_every_token_by_itself():
    tokens = ((0, 0), (9, 13), (4, 6))
    together = accumulate(curved, [batch_of(images(2))], tokens=tokens).maps()
    for token, result in zip(tokens, together, strict=True):
        alone = receptive_field(curved, images(2), token=token)
        assert result.token == token
        assert_equal_maps(result.values, alone.values)


def test_a_map_sums_to_one_in_float64():
    values = receptive_field(curved, images(2)).values
    assert values.dtype == np.float64
    assert values.shape == IMAGE_SIZE
    assert values.min() >= 0
    assert abs(values.sum() - 1) < 1e-12


def test_going_on_from_a_sum_is_bit_exact():
    batches = [batch_of(images(2, seed)) for seed in range(4)]
    whole = accumulate(curved, batches, tokens=((4, 6),))
    half = accumulate(curved, batches[:2], tokens=((4, 6),))
    resumed = accumulate(curved, batches[2:], tokens=((4, 6),), start=half)
    np.testing.assert_array_equal(resumed.values, whole.values)
    assert resumed.num_images == whole.num_images == 8


def test_sums_of_several_processes_join():
    batches = [batch_of(images(2, seed)) for seed in range(2)]
    joined = accumulate(curved, batches[:1], tokens=((4, 6),)) + accumulate(curved, batches[1:], tokens=((4, 6),))
    whole = accumulate(curved, batches, tokens=((4, 6),))
    np.testing.assert_array_equal(joined.values, whole.values)


def test_sums_of_different_measurements_do_not_join():
    first = accumulate(curved, [batch_of(images(1))], tokens=((4, 6),))
    second = accumulate(curved, [batch_of(images(1))], tokens=((4, 7),))
    with pytest.raises(ConfigError, match=r"tokens \(\(4, 6\),\) and \(\(4, 7\),\) cannot be added"):
        _ = first + second
    with pytest.raises(ConfigError, match="cannot be added"):
        accumulate(curved, [batch_of(images(1))], tokens=((4, 6),), protocol=PRE_NORM, start=first)


def test_a_sharded_batch_gives_the_same_map_on_every_device():
    mesh = Mesh(np.asarray(jax.devices(), dtype=object), ("data",))
    batch = batch_of(images(8))
    sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    expected = accumulate(curved, [batch], tokens=((4, 6),))
    result = accumulate(curved, [sharded], tokens=((4, 6),))
    assert_equal_maps(result.values, expected.values)


def test_changed_weights_and_tokens_do_not_compile_again():
    num_traces = 0

    def embed(weights, pictures):
        nonlocal num_traces
        num_traces += 1
        return tokens_of(pictures, weights)

    for step in range(1, 4):
        features = Partial(embed, EMBED * jnp.float32(step))
        accumulate(features, [batch_of(images(2, seed)) for seed in range(3)], tokens=((step, step),))
        if step == 1:
            num_traces_once = num_traces
    # Shapes are looked up again for every sum, which traces abstractly; the two compiled steps are not built again.
    assert num_traces - num_traces_once <= 4


def test_the_magnitude_of_weights_does_not_matter():
    tiny = receptive_field(lambda pictures: curved(pictures) * jnp.float32(1e-12), images(2)).values
    np.testing.assert_allclose(tiny, receptive_field(curved, images(2)).values, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.1, 100.0])
def test_layer_norm_with_constant_scale_is_degenerate(scale):
    with pytest.raises(ConfigError, match=r"protocol bmvc2023 is degenerate.*rounding noise") as caught:
        receptive_field(lambda pictures: normed(pictures) * jnp.float32(scale) + jnp.float32(0.5), images(2))
    assert isinstance(caught.value, ValueError)
    assert "protocol pre_norm" in caught.value.do
    assert "--" not in str(caught.value)


def test_layer_norm_in_bfloat16_is_degenerate():
    with pytest.raises(ConfigError, match="degenerate"):
        receptive_field(lambda pictures: normed(pictures).astype(jnp.bfloat16), images(2))
    with pytest.raises(ConfigError, match="degenerate"):
        receptive_field(lambda pictures: normalise(curved(pictures).astype(jnp.bfloat16)), images(2))


@pytest.mark.parametrize("spread", [0.01, 0.1, 1.0])
def test_layer_norm_with_different_scales_is_not_degenerate(spread):
    scale = jnp.asarray(1 + spread * draw(3, 16))
    result = receptive_field(lambda pictures: normed(pictures) * scale[None, None, None, :], images(2))
    assert abs(result.values.sum() - 1) < 1e-12


def test_random_projection_measures_behind_any_normalisation():
    result = receptive_field(normed, images(2), protocol=RANDOM_PROJECTION)
    assert result.protocol == RANDOM_PROJECTION
    assert result.values[box_of((4, 6))].sum() > 5 / (GRID[0] * GRID[1])


def test_features_that_ignore_the_image_are_degenerate():
    with pytest.raises(ConfigError, match=r"does not depend on the image.*weights that are zero"):
        receptive_field(lambda found: jnp.zeros((found.shape[0], *GRID, 8), jnp.float32) * found.sum(), images(1))


def test_a_single_channel_is_not_degenerate():
    check_target(lambda pictures: tokens_of(pictures, EMBED[:, :1]), batch_of(images(1)), token=(4, 6))


def test_equal_channels_are_not_degenerate():
    def equal(pictures):
        return jnp.repeat(tokens_of(pictures, EMBED[:, :1]), 8, axis=-1)

    check_target(equal, batch_of(images(1)), token=(4, 6))


def test_bfloat16_features_stay_near_float32_ones():
    exact = receptive_field(curved, images(2)).values
    coarse = receptive_field(lambda pictures: curved(pictures).astype(jnp.bfloat16), images(2)).values
    # The cotangent is rounded to 8 bits once, at the cast.
    assert np.abs(coarse - exact).sum() < 2**-6


def test_a_field_without_positive_gradient_is_refused():
    falls = -jnp.ones((PATCH * PATCH * 3, 4), jnp.float32)
    with pytest.raises(ConfigError, match=r"no pixel of 2 images raises token \(4, 6\)"):
        receptive_field(lambda pictures: tokens_of(pictures, falls), images(2))


def test_a_gradient_that_is_not_finite_is_refused():
    def cubes(pictures):
        return tokens_of(pictures * pictures * pictures, EMBED)

    overflow = images(2).at[1].set(1e20)
    total = accumulate(cubes, [batch_of(images(2))], tokens=((4, 6),))
    with pytest.raises(ConfigError, match="not finite after 0 images"):
        accumulate(cubes, [batch_of(overflow)], tokens=((4, 6),))
    with pytest.raises(ConfigError, match="not finite after 4 images"):
        accumulate(cubes, [batch_of(images(2)), batch_of(overflow)], tokens=((4, 6),), start=total)


def test_no_images_and_no_tokens_are_refused():
    with pytest.raises(ConfigError, match="no images"):
        accumulate(curved, [], tokens=((4, 6),))
    with pytest.raises(ConfigError, match="no target token"):
        begin(curved, batch_of(images(1)), tokens=())


def test_a_token_outside_the_grid_is_refused_and_not_clamped():
    with pytest.raises(ConfigError, match="outside the grid of 10 x 14"):
        receptive_field(curved, images(1), token=(10, 0))


def test_the_grid_of_a_feature_map_needs_no_computation():
    assert feature_grid(curved, IMAGE_SIZE) == GRID


def test_float64_images_are_measured_in_float64():
    with jax.enable_x64(True):
        weights = jnp.asarray(np.asarray(EMBED, np.float64))
        pictures = jnp.asarray(np.asarray(images(1), np.float64))
        values = receptive_field(lambda x: tokens_of(x, weights), pictures, protocol=BMVC2023).values
    expected = np.maximum(np.asarray(EMBED, np.float64).reshape(PATCH, PATCH, 3, 16).mean(axis=(2, 3)), 0)
    np.testing.assert_allclose(values[box_of((4, 6))], expected / expected.sum(), rtol=1e-12, atol=1e-17)


def test_replknets_field_is_that_of_its_published_steps():
    pictures = images(3)
    (result,) = accumulate(curved, [batch_of(pictures)], tokens=((5, 7),), protocol=REPLKNET).maps()
    target = jax.grad(lambda x: jax.nn.relu(curved(x)[:, 5, 7]).sum())
    scores = np.maximum(np.asarray(target(pictures), np.float64), 0).sum(axis=-1)
    np.testing.assert_allclose(result.magnitude * result.values, scores.mean(axis=0), rtol=1e-4, atol=1e-8)
    assert receptive_field(curved, pictures, protocol=REPLKNET).token == (5, 7)


def test_luos_field_is_near_the_norm_of_the_tokens_jacobian():
    pictures = images(1)
    values = receptive_field(curved, pictures, protocol=LUO2016).values
    jacobian = np.asarray(jax.jacrev(lambda x: curved(x)[0, 4, 6])(pictures), np.float64)[:, 0]
    norm = np.sqrt(np.square(jacobian).sum(axis=0)).sum(axis=-1)
    shares = [array.reshape(GRID[0], PATCH, GRID[1], PATCH).sum(axis=(1, 3)) for array in (values, norm / norm.sum())]
    # The mean size over eight draws scatters by about a quarter at a pixel; a patch averages 48 of them.
    np.testing.assert_allclose(shares[0], shares[1], atol=0.02)
    np.testing.assert_allclose(values, by_draws(pictures), rtol=1e-4, atol=1e-8)


def by_draws(pictures):
    """Luo's map by its definition, a draw at a time."""
    maps = [
        np.abs(np.asarray(jax.grad(lambda x, read=read: read(curved(x)[:, 4, 6]).sum())(pictures), np.float64))
        for read in LUO2016.readouts
    ]
    mean = np.mean(maps, axis=(0, 1, 4))
    return mean / mean.sum()


def test_groups_are_the_same_sum_dealt_by_turns():
    batches = [batch_of(images(3, seed)) for seed in range(3)]
    total = accumulate(curved, batches, tokens=((4, 6),), num_groups=4)
    plain = accumulate(curved, batches, tokens=((4, 6),))
    np.testing.assert_allclose(total.groups.sum(axis=0), plain.values, rtol=1e-6, atol=1e-10)
    singles = [
        accumulate(curved, [batch_of(batch.image[i : i + 1])], tokens=((4, 6),)) for batch in batches for i in range(3)
    ]
    assert_equal_maps(total.groups[1], singles[1].values + singles[5].values)
    assert total.num_images == 9


def test_padding_takes_no_turn():
    padded = ErfBatch(image=images(4), is_real=jnp.asarray([True, False, True, False]))
    total = accumulate(curved, [padded], tokens=((4, 6),), num_groups=3)
    assert total.groups.any(axis=(1, 2, 3)).tolist() == [True, True, False]
    assert total.num_images == 2


def test_groups_and_their_absence_do_not_join():
    first = accumulate(curved, [batch_of(images(1))], tokens=((4, 6),), num_groups=2)
    with pytest.raises(ConfigError, match="cannot be added"):
        _ = first + accumulate(curved, [batch_of(images(1))], tokens=((4, 6),))
    twice = first + first
    np.testing.assert_array_equal(twice.groups, 2 * first.groups)


def test_magnitude_is_the_sum_of_the_mean_map():
    result = receptive_field(curved, images(3))
    total = accumulate(curved, [batch_of(images(3))], tokens=((4, 6),))
    np.testing.assert_allclose(3 * result.magnitude * result.values, total.values[0], rtol=1e-6)
