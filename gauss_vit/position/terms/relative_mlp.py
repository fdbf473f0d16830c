"""Relative position bias from a small network of the offset: timm's `RelPosMlp` and SwinV2's continuous bias."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid, offset_shape
from gauss_vit.ops.initializers import fan_in_uniform, truncated_normal
from gauss_vit.position.term import BiasTerm, TermParams

# Its sigmoid is 0 in float32.
_NO_OUTPUT = -1000.0


@dataclass(frozen=True, kw_only=True)
class RelativeMlp(BiasTerm):
    """Two dense layers from the logarithmic offset (dy, dx) to a logit of each head; defined on every grid.

      table[:, dy, dx] = output(fc2 relu(fc1 log_offset(dy, dx)))

    Attributes:
      hidden: Number of hidden units between the layers.
      mode: Input and output of the network. "cr" uses sign(d) ln(1 + |d|) of the offset d in patches and returns the
        output unchanged (timm's default, all `vit_relpos_*`); "swin" scales offsets in the window to +-8, uses sign(d)
        log2(1 + |d|) / 3, has no bias in fc2 and returns 16 sigmoid(output) (SwinV2).
      dropout: Dropout rate of the hidden units, in training; timm uses 0.125 for "cr".
      reference: Window (height, width) on which "swin" was trained; offsets are divided by its size minus 1. None is
        the grid itself.

    Raises:
      ConfigError: a value is out of range.

    Source: Liu et al., Swin Transformer V2 (CVPR 2022), equations 3 and 4; timm `RelPosMlp`.
    """

    hidden: int = 128
    mode: Literal["cr", "swin"] = "cr"
    dropout: float = 0.125
    reference: tuple[int, int] | None = None

    def __post_init__(self):
        if self.hidden < 1:
            raise ConfigError(f"hidden must be at least 1, got {self.hidden}")
        if self.mode not in ("cr", "swin"):
            raise ConfigError(f"mode must be 'cr' or 'swin', got {self.mode!r}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.reference is not None and min(self.reference) < 1:
            raise ConfigError(f"reference must be at least 1 x 1, got {self.reference}")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "relative_mlp"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Draws `fc1_kernel` [2, hidden], `fc1_bias`, `fc2_kernel` [hidden, heads] and, for "cr", `fc2_bias`.

        For "cr" all are uniform within +-1 / sqrt(fan-in), PyTorch's default, as in timm's relative-position
        transformers; for "swin" kernels are truncated normal with a standard deviation of 0.02 and the bias is 0.
        """
        del grid
        keys = jax.random.split(key, 4)
        if self.mode == "swin":
            return {
                "fc1_kernel": truncated_normal(keys[0], (2, self.hidden), std=0.02),
                "fc1_bias": jnp.zeros((self.hidden,), jnp.float32),
                "fc2_kernel": truncated_normal(keys[2], (self.hidden, num_heads), std=0.02),
            }
        return {
            "fc1_kernel": fan_in_uniform(keys[0], (2, self.hidden), fan_in=2),
            "fc1_bias": fan_in_uniform(keys[1], (self.hidden,), fan_in=2),
            "fc2_kernel": fan_in_uniform(keys[2], (self.hidden, num_heads), fan_in=self.hidden),
            "fc2_bias": fan_in_uniform(keys[3], (num_heads,), fan_in=self.hidden),
        }

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "heads dy dx"]:
        """Computes the network's output at every offset, in float32 logits; a key enables dropout."""
        coordinates = jnp.asarray(log_offsets(grid, mode=self.mode, reference=self.reference or grid)).reshape(-1, 2)
        weights = {name: value.astype(jnp.float32) for name, value in params.items()}
        # Exact products: on accelerators the default precision would round the coordinates to bfloat16 or TF32.
        hidden = jnp.matmul(coordinates, weights["fc1_kernel"], precision="highest") + weights["fc1_bias"][None, :]
        hidden = jax.nn.relu(hidden)
        if key is not None and self.dropout > 0:
            kept = jax.random.bernoulli(key, 1 - self.dropout, hidden.shape)
            hidden = jnp.where(kept, hidden / (1 - self.dropout), 0)
        output = jnp.matmul(hidden, weights["fc2_kernel"], precision="highest")
        output = output + weights["fc2_bias"][None, :] if self.mode == "cr" else 16 * jax.nn.sigmoid(output)
        return output.T.reshape(-1, *offset_shape(grid))

    @property
    def is_in_foreign_files(self) -> bool:
        """Whether weight files of timm and Hugging Face hold its parameters: True."""
        return True

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns zeros for "cr"; for "swin", whose output is positive, constants with a sigmoid of exactly 0."""
        zeros = super().zero(params)
        if self.mode == "cr":
            return zeros
        return zeros | {
            "fc1_bias": jnp.ones_like(params["fc1_bias"]),
            "fc2_kernel": jnp.full_like(params["fc2_kernel"], _NO_OUTPUT / self.hidden),
        }

    def as_in_paper_code(self) -> "RelativeMlp":
        """Returns the network as the paper's code draws it: as PyTorch's linear layers, like "cr", in both modes."""
        return replace(self, mode="cr")


def log_offsets(grid: Grid, *, mode: Literal["cr", "swin"], reference: Grid) -> Float[np.ndarray, "dy dx 2"]:
    """Computes the network's input at every offset, float32 (dy, dx).

    >>> [round(value, 3) for value in log_offsets((1, 2), mode="cr", reference=(1, 2))[0, :, 1].tolist()]
    [-0.693, 0.0, 0.693]
    """
    axes = [np.arange(1 - size, size, dtype=np.float32) for size in grid]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    if mode == "cr":
        return (np.sign(offsets) * np.log1p(np.abs(offsets))).astype(np.float32)
    span = np.maximum(np.asarray(reference, np.float32) - 1, 1)
    scaled = offsets / span * 8
    return (np.sign(scaled) * np.log2(np.abs(scaled) + 1) / math.log2(8)).astype(np.float32)
