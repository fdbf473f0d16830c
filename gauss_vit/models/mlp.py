"""The MLP of a block: plain or gated, with one of several nonlinearities."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.models.layers import Init, LayerNorm, Linear
from gauss_vit.ops.activation import gelu, gelu_tanh, quick_gelu, silu
from gauss_vit.ops.dense import dense
from gauss_vit.ops.dropout import dropout, split_key
from gauss_vit.ops.placement import placed, splits_heads

MlpKind = Literal["gelu", "gelu_tanh", "quick_gelu", "swiglu"]
"""Nonlinearity between the layers of an MLP: the exact GELU, its approximations by tanh and by a sigmoid (CLIP), or
SwiGLU, whose first layer computes a gate and values: SiLU(gate) values (Shazeer, arXiv 2002.05202)."""

_NONLINEARITIES: Mapping[MlpKind, Callable[[Array], Array]] = MappingProxyType(
    {"gelu": gelu, "gelu_tanh": gelu_tanh, "quick_gelu": quick_gelu}
)


class Mlp(nnx.Module):
    """Two dense layers with a nonlinearity between them.

    Parameters: `fc1` [width, hidden], for SwiGLU [width, 2 hidden] with the gate first; `fc2` [hidden, width]; and, if
    it is normalised, `norm` of the hidden channels before `fc2` (EVA-02).
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        start: Init,
        dropout_rate: float,
        key: PRNGKeyArray,
        kind: MlpKind = "gelu",
        norm_epsilon: float | None = None,
    ):
        first, second = jax.random.split(key)
        outputs = 2 * hidden if kind == "swiglu" else hidden
        self.fc1 = Linear(width, outputs, start=start, key=first, split="outputs")
        self.norm = None if norm_epsilon is None else LayerNorm(hidden, epsilon=norm_epsilon)
        self.fc2 = Linear(hidden, width, start=start, key=second, split="inputs")
        self.dropout_rate = dropout_rate
        self.kind: MlpKind = kind

    def __call__(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens channels"]:
        """Applies both layers to every token; a key enables dropout after each of them."""
        first, second = split_key(key, 2)
        hidden = dropout(self._hidden(tokens), rate=self.dropout_rate, key=first)
        outputs = placed(self.fc2(hidden if self.norm is None else self.norm(hidden)), "batch")
        return dropout(outputs, rate=self.dropout_rate, key=second)

    def _hidden(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "batch tokens hidden"]:
        """Computes the first layer with its nonlinearity."""
        if self.kind != "swiglu":
            return _NONLINEARITIES[self.kind](placed(self.fc1(tokens), "batch", None, "heads"))
        if splits_heads():
            gate, values = self._split_products(tokens)
        else:
            gate, values = jnp.split(placed(self.fc1(tokens), "batch"), 2, axis=-1)
        return silu(gate) * values

    def _split_products(
        self, tokens: Float[Array, "batch tokens channels"]
    ) -> tuple[Float[Array, "batch tokens hidden"], Float[Array, "batch tokens hidden"]]:
        """Computes the gate and the values, each device its own channels of both.

        One product for both would have them in one axis, of which a device would have channels of either.
        """
        kernel, bias = self.fc1.arrays()
        kernels, biases = jnp.split(kernel, 2, axis=-1), jnp.split(bias, 2)
        gate, values = (
            dense(tokens, placed(own, None, "heads"), placed(shift, "heads"))
            for own, shift in zip(kernels, biases, strict=True)
        )
        return gate, values
