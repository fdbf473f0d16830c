"""T5's buckets in two dimensions: a learned number for every range of offsets, along rows and along columns."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.initializers import truncated_normal
from gauss_vit.position.term import BiasTerm, TermParams


@dataclass(frozen=True, kw_only=True)
class Buckets(BiasTerm):
    """Learned numbers of ranges of offsets that become wider with the distance; the same on every grid.

      table[h, dy, dx] = rows[h, bucket(-dy)] + columns[h, bucket(-dx)]

    `bucket` numbers offsets key minus query (`bucket_of`): near ones have a bucket each, farther ones share buckets
    that are equally wide in the logarithm, and all beyond `max_distance` share the last one.

    Attributes:
      num_buckets: Number of buckets along an axis, half of them for keys before the query; T5 has 32.
      max_distance: Distance in patches from which all offsets are in the last bucket; T5 has 128.
      init_std: Standard deviation of its truncated normal initialisation.
      per_head: Whether each head has numbers of its own; otherwise a layer has one set.

    Raises:
      ConfigError: a value is out of range.

    Source: Raffel et al., T5 (JMLR 2020, arXiv 1910.10683), section 2.1, and `_relative_position_bucket` of its code;
    Xu et al., LayoutLMv2 (ACL 2021, arXiv 2012.14740), for the sum over both axes. T5 draws with a
    standard deviation of 1 / sqrt(width), which a term does not know; 0.02 is that of other tables.
    """

    num_buckets: int = 32
    max_distance: int = 128
    init_std: float = 0.02
    per_head: bool = True

    def __post_init__(self):
        if self.num_buckets < 4 or self.num_buckets % 4:
            raise ConfigError(f"num_buckets must be a multiple of 4, got {self.num_buckets}")
        if self.max_distance <= self.num_buckets // 4:
            raise ConfigError(
                f"max_distance must be above a quarter of num_buckets, {self.num_buckets // 4}, got {self.max_distance}"
            )
        if not 0 <= self.init_std < math.inf:
            raise ConfigError(f"init_std must be finite and not negative, got {self.init_std}")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "buckets"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Draws `rows` and `columns`, float32 [heads or 1, buckets], in logits."""
        del grid
        shape = (num_heads if self.per_head else 1, self.num_buckets)
        rows_key, columns_key = jax.random.split(key)
        return {
            "rows": truncated_normal(rows_key, shape, std=self.init_std),
            "columns": truncated_normal(columns_key, shape, std=self.init_std),
        }

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Looks up and adds the numbers of every offset, in float32 logits."""
        del key
        rows, columns = (
            params[name].astype(jnp.float32)[:, self._buckets(size)]
            for name, size in zip(("rows", "columns"), grid, strict=True)
        )
        shape = (rows.shape[0], rows.shape[1], columns.shape[1])
        return jnp.broadcast_to(rows[:, :, None], shape) + jnp.broadcast_to(columns[:, None, :], shape)

    def _buckets(self, size: int) -> Int[np.ndarray, " offsets"]:
        """Returns the buckets of the offsets along an axis, from 1 - size to size - 1, query minus key."""
        return bucket_of(np.arange(size - 1, -size, -1), num_buckets=self.num_buckets, max_distance=self.max_distance)


def bucket_of(
    positions: Int[np.ndarray, " offsets"], *, num_buckets: int, max_distance: int
) -> Int[np.ndarray, " offsets"]:
    """Numbers the bucket of every relative position, key minus query, from 0.

    >>> bucket_of(np.array([0, -1, 1, -7, -8, -15, -16, -1000]), num_buckets=32, max_distance=128).tolist()
    [0, 1, 17, 7, 8, 9, 10, 15]
    """
    half = num_buckets // 2
    exact = half // 2
    distance = np.abs(positions)
    share = np.log(np.maximum(distance, exact) / exact) / math.log(max_distance / exact)
    coarse = np.minimum(exact + (share * (half - exact)).astype(np.int64), half - 1)
    return np.where(positions > 0, half, 0) + np.where(distance < exact, distance, coarse)
