"""A stage: windows are plain attention where one covers the map, and shifted ones see no further than they should."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.blocks import Block, BlockConfig
from gauss_vit.models.compute import Compute
from gauss_vit.models.stage import Stage
from gauss_vit.models.window_stage import PatchMerging, WindowStage, WindowStageConfig
from gauss_vit.ops.windows import WindowLayout, neighbours
from gauss_vit.position import Gaussian, RelativeTable

KEY = jax.random.key(0)
BLOCK = BlockConfig(
    attention=AttentionConfig(width=8, num_heads=2, grid=(2, 3), terms=(RelativeTable(init_std=1.0), Gaussian())),
    norm_epsilon=1e-5,
)
GRID = (4, 6)
STAGE = Stage(
    path="backbone.blocks", first=0, depth=4, grid=GRID, patch_size=(4, 4), attention=BLOCK.attention, shift=(1, 1)
)
CONFIG = WindowStageConfig(stage=STAGE, block=BLOCK, merges=False)


def unrolled(unroll: int) -> WindowStageConfig:
    attention = dataclasses.replace(BLOCK.attention, compute=Compute(unroll=unroll))
    return dataclasses.replace(CONFIG, block=dataclasses.replace(BLOCK, attention=attention))


def stream_of(grid=GRID, batch=2):
    return jax.random.normal(jax.random.key(1), (batch, grid[0] * grid[1], 8), jnp.float32)


def branch_of(layout, block):
    def branch(tokens):
        return block.attention_branch(tokens, shared=None, layout=layout, key=None)

    return jax.jit(branch)


def scan(stage, tokens, rates, key=None, **options):
    return jax.jit(functools.partial(stage.scan_blocks, grid=GRID, **options))(tokens, rates=rates, key=key)


def rolled(tokens, shift, grid=GRID):
    features = tokens.reshape(tokens.shape[0], *grid, -1)
    return jnp.roll(features, shift, axis=(1, 2)).reshape(tokens.shape)


def test_one_window_is_plain_attention():
    block, tokens = Block(BLOCK, key=KEY), stream_of((2, 3))
    rate = jnp.float32(0)
    layout = WindowLayout(grid=(2, 3), window=(2, 3))
    windowed = jax.jit(lambda tokens: block(tokens, drop_rate=rate, layout=layout))(tokens)
    np.testing.assert_allclose(windowed, jax.jit(block)(tokens, drop_rate=rate), atol=1e-6)


def test_moving_the_map_by_whole_windows_moves_the_result():
    branch, tokens = branch_of(WindowLayout(grid=GRID, window=(2, 3)), Block(BLOCK, key=KEY)), stream_of()
    np.testing.assert_allclose(branch(rolled(tokens, (2, 3))), rolled(branch(tokens), (2, 3)), atol=1e-6)


def test_shifted_windows_inside_the_map_are_windows_of_the_moved_map():
    block, tokens = Block(BLOCK, key=KEY), stream_of()
    plain = branch_of(WindowLayout(grid=GRID, window=(2, 3)), block)
    shifted = branch_of(WindowLayout(grid=GRID, window=(2, 3), shift=(1, 1)), block)
    moved = rolled(plain(rolled(tokens, (-1, -1))), (1, 1)).reshape(2, *GRID, 8)
    found = shifted(tokens).reshape(2, *GRID, 8)
    np.testing.assert_allclose(found[:, 1:3, 1:4], moved[:, 1:3, 1:4], atol=1e-6)
    # At the border the mask makes the difference.
    assert not np.allclose(found[:, 0], moved[:, 0], atol=1e-3)


def test_tokens_of_different_regions_never_attend():
    layout = WindowLayout(grid=GRID, window=(2, 3), shift=(1, 1))
    branch = branch_of(layout, Block(BLOCK, key=KEY))
    jacobian = jax.jit(jax.jacobian(lambda tokens: jnp.sum(branch(tokens[None])[0], axis=-1)))(stream_of(batch=1)[0])
    reach = np.any(np.asarray(jacobian) != 0, axis=-1)
    row, column = np.indices(GRID).reshape(2, -1)
    # After the shift, windows start at rows -1, 1, 3 and columns -2, 1, 4 of the map itself.
    window = ((row + 1) // 2) * 3 + (column + 2) // 3
    np.testing.assert_array_equal(reach, window[:, None] == window[None, :])


@pytest.mark.parametrize("shift", [(0, 0), (1, 1)])
def test_padding_is_zeros_at_the_bottom_and_right_and_nothing_else(shift):
    block, grid = Block(BLOCK, key=KEY), (3, 5)
    layout = WindowLayout(grid=grid, window=(2, 3), shift=shift)
    tokens = stream_of(grid)
    inputs = rolled(block.norm1(tokens), (-shift[0], -shift[1]), grid).reshape(2, *grid, 8)
    padded = jnp.pad(inputs, ((0, 0), (0, 1), (0, 1), (0, 0))).reshape(2, 24, 8)
    whole = WindowLayout(grid=(4, 6), window=(2, 3))
    mask = None if layout.mask is None else jnp.asarray(layout.mask)
    mixed = whole.join(jax.jit(block.attention)(whole.split(padded), mask=mask))
    kept = mixed.reshape(2, 4, 6, 8)[:, :3, :5].reshape(2, 15, 8)
    np.testing.assert_allclose(branch_of(layout, block)(tokens), rolled(kept, shift, grid), atol=1e-6)


@functools.partial(jax.jit, static_argnames=("graph", "layout"))
def behind_block(graph, params, tokens, rate, *, layout):
    return nnx.merge(graph, params)(tokens, drop_rate=rate, layout=layout)


@pytest.mark.parametrize("depth", [1, 3, *(pytest.param(even, marks=pytest.mark.full) for even in (2, 4))])
@pytest.mark.parametrize("shift", [(0, 0), (1, 1)])
def test_blocks_take_the_layouts_in_turn(depth, shift):
    stage = WindowStage(
        dataclasses.replace(CONFIG, stage=dataclasses.replace(STAGE, depth=depth, shift=shift)), key=KEY
    )
    tokens, rates = stream_of(), jnp.zeros((depth,), jnp.float32)
    last, entering = scan(stage, tokens, rates, collect=True)
    graph, stacked = nnx.split(stage.blocks)
    expected = tokens
    for index in range(depth):
        np.testing.assert_allclose(entering[index], expected, atol=1e-5)
        params = jax.tree.map(lambda leaf, index=index: leaf[index], stacked)
        layout = WindowLayout(grid=GRID, window=(2, 3), shift=shift if index % 2 else (0, 0))
        expected = behind_block(graph, params, expected, rates[index], layout=layout)
    np.testing.assert_allclose(last, expected, atol=1e-5)
    alone, nothing = scan(stage, tokens, rates)
    np.testing.assert_allclose(alone, last, atol=1e-6)
    assert nothing.shape == (0, *tokens.shape)


@pytest.mark.parametrize(
    ("unroll", "loops"), [(1, [2]), (2, [2]), pytest.param(4, [], marks=pytest.mark.full), (9, [])]
)
def test_unrolling_changes_the_program_and_not_the_result(unroll, loops):
    stage = WindowStage(unrolled(unroll), key=KEY)
    rates = jnp.zeros((4,), jnp.float32)

    def run(tokens):
        return stage.scan_blocks(tokens, grid=GRID, rates=rates)[0]

    expected = scan(WindowStage(CONFIG, key=KEY), stream_of(), rates)[0]
    np.testing.assert_allclose(jax.jit(run)(stream_of()), expected, atol=1e-6)
    scans = [equation for equation in jax.make_jaxpr(run)(stream_of()).eqns if equation.primitive.name == "scan"]
    # Two pairs of blocks: either one pair a turn, or both without a loop.
    assert [scan.params["length"] for scan in scans] == loops


def test_every_block_draws_its_own_noise():
    config = dataclasses.replace(CONFIG, block=dataclasses.replace(BLOCK, drops_paths=True))
    stage, tokens = WindowStage(config, key=KEY), stream_of(batch=8)
    rates = jnp.full((4,), 0.5, jnp.float32)
    _, entering = scan(stage, tokens, rates, key=jax.random.key(2), collect=True)
    is_kept = jnp.any(entering[1:] != entering[:-1], axis=(2, 3))
    assert len({tuple(row) for row in np.asarray(is_kept).tolist()}) == 3


@pytest.mark.parametrize(("norm", "channels"), [("before", 16), ("after", 8)])
@pytest.mark.parametrize("grid", [(4, 6), (3, 5)])
def test_patch_merging_normalises_before_or_after(norm, channels, grid):
    config = dataclasses.replace(CONFIG, merging_norm=norm)
    merging = PatchMerging(config, key=KEY)
    features = jax.random.normal(jax.random.key(3), (2, *grid, 4), jnp.float32)
    joined = np.asarray(neighbours(features), np.float64)
    kernel = np.asarray(merging.reduction.kernel[...], np.float64)

    def normal(values):
        centered = values - values.mean(axis=-1, keepdims=True)
        return centered / np.sqrt(np.mean(centered**2, axis=-1, keepdims=True) + 1e-5)

    expected = normal(joined) @ kernel if norm == "before" else normal(joined @ kernel)
    assert merging.norm.scale.shape == (channels,)
    assert merging.reduction.bias is None
    np.testing.assert_allclose(merging(features.reshape(2, -1, 4), grid=grid), expected, atol=1e-4)


def test_merging_halves_the_grid_and_doubles_the_width():
    stage = WindowStage(dataclasses.replace(CONFIG, merges=True), key=KEY)
    tokens, grid = stage.enter(jnp.ones((1, 15, 4), jnp.float32), (3, 5))
    assert tokens.shape == (1, 6, 8)
    assert grid == (2, 3)
    same, same_grid = WindowStage(CONFIG, key=KEY).enter(stream_of(), GRID)
    np.testing.assert_array_equal(same, stream_of())
    assert same_grid == GRID
