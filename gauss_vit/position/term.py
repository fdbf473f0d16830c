"""Position biases of the attention logits as terms that can be added.

The usual position biases, learned or fixed, depend on query and key only through their offset. So a bias term is a
frozen value whose pure function maps (parameters, grid) to an offset table [heads or 1, 2 height - 1, 2 width - 1], in
logits; a tuple of terms is their sum and `()` is zero; a table expands to [heads, query, key]:

  bias[h, i, j] = table[h, y_i - y_j + height - 1, x_i - x_j + width - 1],    i = y_i width + x_i

The offset is query minus key and patches are numbered row by row, as in timm. Plots, the Gaussian
fit and the export to stock relative-position tables use the same table.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.dropout import split_key
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.ops.toeplitz import toeplitz

MASKED = -1e4
"""Logit of an offset that a term masks: finite, so that sums, gradients and exported tables are. A softmax in bfloat16,
float16 or float32 gives it a weight of exactly 0, and a few of them can be added in float16."""

TermParams = Mapping[str, Array]
"""Parameters of one term, by name; for layers stacked on a leading axis, terms run under `scan` or `vmap`."""


class BiasTerm(ABC):
    """A position bias as a value: a frozen dataclass that derives from this class.

    A term must define a name, initial parameters and an offset table. Everything else that the program needs of a term
    has a default here, so a term that is defined elsewhere, such as in a config file, needs only these three.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Key of its parameters in the tree, unique among the terms of an attention layer."""

    @abstractmethod
    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Draws its parameters for one layer, in float32."""

    @abstractmethod
    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes its offset table in float32 logits; `key=None` means inference."""

    def prefix(self, params: TermParams) -> Float[Array, "#heads 3"] | None:
        """Returns its logits for prefix tokens (see `expand`); None if these have no bias."""
        del params
        return None

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Names of its parameters that are never weight-decayed."""
        return ()

    @property
    def is_tied_to_grid(self) -> bool:
        """Whether its parameters fit one grid only, so that they must be resampled for another."""
        return False

    @property
    def is_in_foreign_files(self) -> bool:
        """Whether weight files of timm and Hugging Face hold its parameters; otherwise they are newly drawn."""
        return False

    def at_layer(self, params: TermParams, place: Float[Array, ""]) -> dict[str, Array]:
        """Returns newly drawn parameters as they start in one layer of a model, for starts that depend on the depth.

        Args:
          params: Result of `init`, with which terms that all layers share start.
          place: 0 for the first layer of the model to 1 for its last, see `Stage.places`.
        """
        del place
        return dict(params)

    def on_image(self, grid: Grid) -> "BiasTerm":
        """Returns the term for windows of a map of `grid` patches."""
        del grid
        return self

    def resample(self, params: Mapping[str, np.ndarray], *, source: Grid, target: Grid) -> dict[str, np.ndarray]:
        """Resamples parameters of one grid for another, with any leading axes."""
        del source, target
        return dict(params)

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns new values of the parameters to change so that the bias vanishes: by default zeros for all."""
        return {name: jnp.zeros_like(leaf) for name, leaf in params.items()}

    def as_in_paper_code(self) -> "BiasTerm | None":
        """Returns a term that is drawn as the paper's code draws this one; None if that code does not change it."""
        return None

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns the numbers that a training run logs, by name, for parameters stacked over layers."""
        del params, grid
        return {}


def init(
    terms: Sequence[BiasTerm],
    key: PRNGKeyArray,
    *,
    grid: Grid,
    num_heads: int,
    place: Float[Array, ""] | None = None,
) -> dict[str, dict[str, Array]]:
    """Draws the parameters of all terms of one layer.

    Args:
      terms: The terms.
      key: Random key.
      grid: The (height, width) of the patches.
      num_heads: Number of attention heads.
      place: Place of the layer in the model, see `BiasTerm.at_layer`; None for terms that all layers share.

    Raises:
      ValueError: two terms have the same name.
    """
    names = [term.name for term in terms]
    if len(set(names)) < len(names):
        raise ValueError(f"bias terms need different names, got {', '.join(names)}")
    keys = jax.random.split(key, max(len(terms), 1))
    drawn = {
        term.name: term.init(term_key, grid=grid, num_heads=num_heads)
        for term, term_key in zip(terms, keys[: len(terms)], strict=True)
    }
    return drawn if place is None else {term.name: term.at_layer(drawn[term.name], place) for term in terms}


def tables(
    terms: Sequence[BiasTerm],
    params: Mapping[str, TermParams],
    grid: Grid,
    *,
    key: PRNGKeyArray | None = None,
) -> dict[str, Float[Array, "#heads dy dx"]]:
    """Computes the offset table of every term, by name."""
    keys = split_key(key, len(terms))
    return {
        term.name: term.table(params[term.name], grid, key=term_key) for term, term_key in zip(terms, keys, strict=True)
    }


def table(
    terms: Sequence[BiasTerm],
    params: Mapping[str, TermParams],
    grid: Grid,
    *,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "#heads dy dx"]:
    """Sums the offset tables of all terms; zeros [1, 2 height - 1, 2 width - 1] if there are none."""
    return add(tables(terms, params, grid, key=key), grid)


def add(parts: Mapping[str, Float[Array, "#heads dy dx"]], grid: Grid) -> Float[Array, "#heads dy dx"]:
    """Adds offset tables of one or of all heads; zeros [1, 2 height - 1, 2 width - 1] if there are none."""
    total = jnp.zeros((1, *offset_shape(grid)), jnp.float32)
    for part in parts.values():
        shape = (max(total.shape[0], part.shape[0]), *total.shape[1:])
        total = jnp.broadcast_to(total, shape) + jnp.broadcast_to(part, shape)
    return total


def prefix(terms: Sequence[BiasTerm], params: Mapping[str, TermParams]) -> Float[Array, "#heads 3"] | None:
    """Sums the terms' logits for prefix tokens; None if no term has any."""
    parts = [part for term in terms if (part := term.prefix(params[term.name])) is not None]
    if not parts:
        return None
    shape = (max(part.shape[0] for part in parts), 3)
    return sum((jnp.broadcast_to(part, shape) for part in parts), start=jnp.zeros(shape, jnp.float32))


def expand(
    offset_table: Float[Array, "#heads dy dx"],
    grid: Grid,
    *,
    prefix_tokens: int = 0,
    prefix_bias: Float[Array, "#heads 3"] | None = None,
) -> Float[Array, "#heads query key"]:
    """Expands an offset table to the bias of every pair of tokens.

    Args:
      offset_table: Logits over offsets, [heads or 1, 2 height - 1, 2 width - 1].
      grid: The (height, width) of the patches.
      prefix_tokens: Number of tokens before the patches, such as class tokens.
      prefix_bias: Logits [heads or 1, 3] from prefix to patch, from patch to prefix, and from prefix to prefix (query
        to key), as in BEiT. None for zeros, as in timm's `RelPosMlp`.

    Raises:
      ValueError: the table does not fit the grid.

    >>> expand(jnp.arange(3.0).reshape(1, 1, 3), (1, 2))
    Array([[[1., 0.],
            [2., 1.]]], dtype=float32)
    """
    if offset_table.shape[1:] != offset_shape(grid):
        raise ValueError(f"a grid of {grid} needs a table of {offset_shape(grid)}, got {offset_table.shape[1:]}")
    heads, tokens = offset_table.shape[0], num_patches(grid)
    # [heads, query column, key column, query row, key row], from the Toeplitz matrices of both axes.
    spread = toeplitz(jnp.moveaxis(toeplitz(offset_table), 1, 3))
    bias = jnp.transpose(spread, (0, 3, 1, 4, 2)).reshape(heads, tokens, tokens)
    if prefix_tokens == 0:
        return bias
    if prefix_bias is None:
        return jnp.pad(bias, ((0, 0), (prefix_tokens, 0), (prefix_tokens, 0)))
    return _with_prefix(bias, prefix_tokens, prefix_bias)


def _with_prefix(
    bias: Float[Array, "#heads query key"], prefix_tokens: int, prefix_bias: Float[Array, "#heads 3"]
) -> Float[Array, "#heads query_all key_all"]:
    """Adds the rows and columns of prefix tokens before those of the patches."""
    heads = max(bias.shape[0], prefix_bias.shape[0])
    patches = bias.shape[-1]
    to_patch, from_patch, among = (
        jnp.broadcast_to(prefix_bias[:, index, None, None], shape)
        for index, shape in enumerate(
            ((heads, prefix_tokens, patches), (heads, patches, prefix_tokens), (heads, prefix_tokens, prefix_tokens))
        )
    )
    below = jnp.concatenate([from_patch, jnp.broadcast_to(bias, (heads, patches, patches))], axis=2)
    return jnp.concatenate([jnp.concatenate([among, to_patch], axis=2), below], axis=1)
