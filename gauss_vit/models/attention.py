"""Multi-head self-attention over a grid of patches, with position terms on its logits."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.kernels.attention import attention
from gauss_vit.models.layers import Linear, Start, split_key
from gauss_vit.ops.dropout import dropout
from gauss_vit.ops.grid import Grid
from gauss_vit.position import term
from gauss_vit.position.term import BiasTerm


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """What an attention layer is made of.

    Attributes:
      width: channels of a token.
      num_heads: heads; must divide the width.
      grid: the (height, width) of the patches.
      prefix_tokens: tokens before the patches, such as a class token.
      terms: position biases of the logits; their sum is added.
      use_query_key_value_bias: the joint projection has a bias.
      attention_dropout: the rate at which attention weights are dropped in training.
      projection_dropout: the rate at which outputs are dropped in training.
      start: how the dense layers start.
    """

    width: int
    num_heads: int
    grid: Grid
    prefix_tokens: int
    terms: tuple[BiasTerm, ...]
    use_query_key_value_bias: bool
    attention_dropout: float
    projection_dropout: float
    start: Start

    def __post_init__(self):
        if self.num_heads < 1 or self.width % self.num_heads:
            divisors = [heads for heads in range(1, self.width + 1) if self.width % heads == 0]
            nearest = min(divisors, key=lambda heads: abs(heads - self.num_heads))
            raise ConfigError(
                f"width {self.width} is not divisible by num_heads {self.num_heads}",
                do=f"choose {nearest}, for example",
            )


class Attention(nnx.Module):
    """Self-attention whose logits get the sum of its position terms.

    Parameters: `query_key_value` [width, 3 width] (query, key, value in this order, each head after head),
    `projection` [width, width], and `bias.<term>.<parameter>`.
    """

    def __init__(self, config: AttentionConfig, *, key: PRNGKeyArray):
        joint_key, projection_key, bias_key = jax.random.split(key, 3)
        width, start = config.width, config.start
        self.query_key_value = Linear(
            width, 3 * width, start=start, key=joint_key, use_bias=config.use_query_key_value_bias
        )
        self.projection = Linear(width, width, start=start, key=projection_key)
        drawn = term.init(config.terms, bias_key, grid=config.grid, num_heads=config.num_heads)
        self.bias = nnx.Dict(
            {name: nnx.Dict({key: nnx.Param(value) for key, value in part.items()}) for name, part in drawn.items()}
        )
        self.config = config

    def bias_params(self) -> Mapping[str, term.TermParams]:
        """Gives the parameters of the position terms, by term and name."""
        return {name: {key: value[...] for key, value in part.items()} for name, part in self.bias.items()}

    def tables(self, *, key: PRNGKeyArray | None = None) -> dict[str, Float[Array, "#heads dy dx"]]:
        """Computes the offset table of every term, by name, in logits."""
        return term.tables(self.config.terms, self.bias_params(), self.config.grid, key=key)

    def table(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"] | None:
        """Computes the sum of the terms, or None where there is none."""
        if not self.config.terms:
            return None
        return term.table(self.config.terms, self.bias_params(), self.config.grid, key=key)

    def __call__(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens channels"]:
        """Mixes the tokens; a key turns every dropout on."""
        bias_key, mix_key = split_key(key, 2)
        return self.mix(tokens, table=self.table(key=bias_key), key=mix_key)

    def mix(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        table: Float[Array, "#heads dy dx"] | None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch tokens channels"]:
        """Mixes the tokens under a given offset table."""
        config = self.config
        weights_key, output_key = split_key(key, 2)
        shape = (*tokens.shape[:2], 3, config.num_heads, config.width // config.num_heads)
        joint = self.query_key_value(tokens).reshape(shape)
        mixed = attention(
            joint[:, :, 0],
            joint[:, :, 1],
            joint[:, :, 2],
            table=table,
            grid=config.grid,
            prefix_tokens=config.prefix_tokens,
            dropout_rate=config.attention_dropout,
            dropout_key=weights_key,
        )
        outputs = self.projection(mixed.reshape(tokens.shape))
        return dropout(outputs, rate=config.projection_dropout, key=output_key)
