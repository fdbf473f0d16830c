"""Non-maximum suppression of fixed shape that is exactly the greedy one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from gauss_vit.ops.detection.boxes import area, intersection


def suppress(
    yxyx: Float[Array, "boxes 4"],
    scores: Float[Array, " boxes"],
    groups: Int32[Array, " boxes"],
    *,
    is_box: Bool[Array, " boxes"],
    threshold: float,
) -> Bool[Array, " boxes"]:
    """Keeps the boxes that no kept box of their group with a higher score overlaps by more than a threshold.

    A box is kept if every box before it that overlaps it is not. Starting with all boxes, that sentence is applied to
    all of them at once until nothing changes; after n rounds the first n boxes, at least, are settled, and in practice
    all of them after five to ten. Memory grows with the square of the number of boxes, one byte a pair.

    Args:
      yxyx: boxes; those without area neither suppress nor are suppressed.
      scores: of equal ones the first box comes first.
      groups: such as the class or the level: boxes of different groups do not meet.
      is_box: which boxes take part; the others are not kept.
      threshold: intersection over union, in 0..1.
    """
    order = jnp.argsort(-jnp.where(is_box, scores, -jnp.inf), stable=True)
    is_sorted_box = is_box[order]
    suppresses = _suppresses(yxyx[order], groups[order], threshold)

    def again(carry: tuple[Bool[Array, " boxes"], Bool[Array, ""]]) -> tuple[Bool[Array, " boxes"], Bool[Array, ""]]:
        kept, _ = carry
        now = is_sorted_box & ~jnp.any(suppresses & kept[:, None], axis=0)
        return now, jnp.any(now != kept)

    kept, _ = jax.lax.while_loop(lambda carry: carry[1], again, (is_sorted_box, jnp.asarray(True)))
    return jnp.zeros_like(is_box).at[order].set(kept)


def _suppresses(
    yxyx: Float[Array, "boxes 4"], groups: Int32[Array, " boxes"], threshold: float
) -> Bool[Array, "boxes boxes"]:
    """Returns whether each box (row) comes before another (column) of its group and overlaps it too much."""
    shared = intersection(yxyx[:, None], yxyx[None])
    union = area(yxyx)[:, None] + area(yxyx)[None] - shared
    place = jnp.arange(len(yxyx))
    # Not a quotient, which would be 0 / 0 for two boxes without area.
    return (shared > threshold * union) & (groups[:, None] == groups[None]) & (place[:, None] < place[None])
