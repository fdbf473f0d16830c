"""The attentions that `benchmarks.attention` compares, forward and backward, and their inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from gauss_vit.kernels import cudnn
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.choice import AttentionShape, KernelChoice, cudnn_obstacle
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.position.term import expand, table
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable

HEADS, CHANNELS = 6, 64
TERMS = (RelativeTable(), Gaussian())
Attend = Callable[..., Float[Array, "batch tokens heads channels"]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A size of attention.

    Attributes:
      batch_size: images.
      grid: (height, width) of the patches.
      prefix_tokens: tokens before them.
      dtype: of queries, keys and values.
    """

    batch_size: int
    grid: Grid
    prefix_tokens: int
    dtype: str

    @property
    def name(self) -> str:
        """Batch by tokens."""
        return f"{self.batch_size} x {num_patches(self.grid)} tokens"

    @property
    def num_tokens(self) -> int:
        """All tokens of an image."""
        return self.prefix_tokens + num_patches(self.grid)

    @property
    def shape(self) -> AttentionShape:
        """What the rule of kernels looks at, on this backend."""
        return AttentionShape(
            num_patches=num_patches(self.grid),
            prefix_tokens=self.prefix_tokens,
            head_channels=CHANNELS,
            dtype=self.dtype,
            platform=jax.default_backend(),
        )


def offset_index(grid: Grid) -> Int[np.ndarray, "query key"]:
    """Numbers the offset of every pair of patches, row by row in a table over all offsets."""
    row, column = (axis.reshape(-1) for axis in np.indices(grid))
    vertical = row[:, None] - row[None, :] + grid[0] - 1
    horizontal = column[:, None] - column[None, :] + grid[1] - 1
    return (vertical * offset_shape(grid)[1] + horizontal).astype(np.int32)


def num_prefix(query: Float[Array, "batch tokens heads channels"], grid: Grid) -> int:
    """Counts the tokens before the patches."""
    return query.shape[1] - num_patches(grid)


def port(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """Attention as the formulas say it."""
    flat = offsets.reshape(HEADS, -1)
    bias = jnp.take(flat, offset_index(grid).reshape(-1), axis=1).reshape(HEADS, *(num_patches(grid),) * 2)
    bias = jnp.pad(bias, ((0, 0), (num_prefix(query, grid), 0), (num_prefix(query, grid), 0)))
    logits = attention_logits(query, key, scale=CHANNELS**-0.5, bias=bias)
    return attend(attention_weights(logits), value)


def ours(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid, kernel: KernelChoice) -> Array:
    """What the models call, by a kernel."""
    prefix = num_prefix(query, grid)
    platform = jax.default_backend()
    return attention(
        query, key, value, table=offsets, grid=grid, prefix_tokens=prefix, kernel=kernel, platform=platform
    )


def by_cudnn(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """The vendor's attention with our bias, whether it is right or not."""
    bias = expand(offsets, grid, prefix_tokens=num_prefix(query, grid))
    return cudnn.attend_cudnn(query, key, value, bias, scale=CHANNELS**-0.5)


def unbiased(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """The vendor's attention without a bias."""
    del offsets, grid
    return jax.nn.dot_product_attention(query, key, value, implementation="cudnn")


OURS: dict[str, Attend] = {name: partial(ours, kernel=name) for name in ("whole", "einsum", "rows")}


def sides_of(case: Case) -> tuple[dict[str, Attend], list[str]]:
    """Gives what can be timed at a size, by name, and says what is left out on a GPU, and why."""
    obstacle = cudnn_obstacle(case.shape)
    with_bias = obstacle or cudnn.fault(case.num_tokens, CHANNELS, device=jax.local_devices()[0])
    sides, absent = {"port": port, **OURS, "chosen": partial(ours, kernel="auto" if with_bias else "cudnn")}, []
    if case.shape.platform != "gpu":
        return sides, absent
    without = obstacle or ("" if cudnn.padded(case.num_tokens) == case.num_tokens else "it needs padding there")
    for name, side, reason in (("cudnn", by_cudnn, with_bias), ("unbiased", unbiased, without)):
        if reason:
            absent.append(f"{case.name}: without {name}, {reason}.")
        else:
            sides[name] = side
    return sides, absent


def inputs_of(case: Case) -> PyTree:
    """Random queries, keys, values and cotangents, and parameters of the terms."""
    keys = jax.random.split(jax.random.key(0), 5)
    shape = (case.batch_size, case.num_tokens, HEADS, CHANNELS)
    params = {
        "relative": {"table": jax.random.normal(keys[4], (HEADS, *offset_shape(case.grid)), jnp.float32)},
        "gaussian": Gaussian().init(keys[4], grid=case.grid, num_heads=HEADS),
    }
    return *(jax.random.normal(key, shape, case.dtype) for key in keys[:4]), params


def compiled(side: Attend, inputs: PyTree, grid: Grid) -> jax.stages.Compiled:
    """Compiles value and gradients."""

    def loss(inputs: PyTree) -> Float[Array, ""]:
        query, key, value, cotangent, params = inputs
        mixed = side(query, key, value, offsets=table(TERMS, params, grid), grid=grid)
        return jnp.sum((mixed * cotangent).astype(jnp.float32))

    return jax.jit(jax.value_and_grad(loss)).lower(inputs).compile()
