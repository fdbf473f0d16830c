"""The one entry point of attention: queries, keys, values and an offset table in, mixed values out."""

from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.kernels.reference import attend, attention_logits
from gauss_vit.ops.grid import Grid
from gauss_vit.position.term import expand


def attention(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    *,
    table: Float[Array, "#heads dy dx"] | None,
    grid: Grid,
    prefix_tokens: int = 0,
    dropout_rate: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch tokens heads channels"]:
    """Computes softmax(query key^T / sqrt(channels) + bias) value, the bias expanded from an offset table.

    Args:
      query: queries of all tokens: prefix tokens first, then the patches row by row.
      key: keys, in the same order.
      value: values, in the same order.
      table: the sum of all position terms, in logits over offsets; None for no bias.
      grid: the (height, width) of the patches.
      prefix_tokens: how many tokens stand before the patches; they get no bias.
      dropout_rate: the rate at which attention weights are dropped when there is a key.
      dropout_key: randomness; None means inference.
    """
    bias = None if table is None else expand(table, grid, prefix_tokens=prefix_tokens)
    logits = attention_logits(query, key, bias)
    return attend(logits, value, dropout_rate=dropout_rate, dropout_key=dropout_key)
