"""Selection of boxes by score: proposals of a pyramid's anchors, and detections among the proposals."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, PyTree

from gauss_vit.ops.detection.boxes import clip, decode
from gauss_vit.ops.detection.suppression import suppress

RPN_STDS = (1.0, 1.0, 1.0, 1.0)
"""Standard deviations of the code of proposals."""

BOX_STDS = (0.1, 0.1, 0.2, 0.2)
"""Standard deviations of the code of detections."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Proposals:
    """Boxes of one image that may hold an object, by falling score.

    Attributes:
      yxyx: float32 [boxes, 4]; zeros in padding.
      score: float32 [boxes], in 0..1; 0 in padding.
      is_real: bool [boxes], False in padding.
    """

    yxyx: PyTree
    score: PyTree
    is_real: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Detections:
    """Objects that were found in one image, by falling score.

    Attributes:
      yxyx: float32 [objects, 4]; zeros in padding.
      score: float32 [objects], in 0..1; 0 in padding.
      label: int32 [objects], class; 0 in padding.
      is_real: bool [objects], False in padding.
      num_dropped: int32 scalar, number of candidates above the score floor for which there was no place: above 0, the
        result may differ from that of all candidates.
    """

    yxyx: PyTree
    score: PyTree
    label: PyTree
    is_real: PyTree
    num_dropped: PyTree


def propose(
    logits: Sequence[Float[Array, " _"]],
    codes: Sequence[Float[Array, "_ 4"]],
    anchors: Sequence[Float[Array, "_ 4"]],
    size: Float[Array, "2"],
    *,
    num_before: int,
    num_after: int,
    threshold: float = 0.7,
) -> Proposals:
    """Chooses proposals of one image: the best of every level, without those that a better one of the level overlaps.

    Args:
      logits: logit of an object at every anchor, by level.
      codes: code of the box relative to the anchor, by level.
      anchors: anchors, by level.
      size: (height, width) of the image before it was padded, in pixels, which boxes are clipped to.
      num_before: largest number of boxes of a level that are compared.
      num_after: number of proposals.
      threshold: intersection over union above which the worse box goes.

    Source: Ren et al., Faster R-CNN (2015); MMDetection `RPNHead.predict`.
    """
    levels = [_best_of_level(*level, size, number=num_before) for level in zip(logits, codes, anchors, strict=True)]
    yxyx, score, is_box = (jnp.stack(parts) for parts in zip(*levels, strict=True))
    one_group = jnp.zeros(num_before, jnp.int32)
    kept = jax.vmap(lambda yxyx, score, is_box: suppress(yxyx, score, one_group, is_box=is_box, threshold=threshold))(
        yxyx, score, is_box
    )
    index, is_real = _best(score.reshape(-1), kept.reshape(-1), number=num_after)
    return Proposals(
        yxyx=jnp.where(is_real[:, None], yxyx.reshape(-1, 4)[index], 0),
        score=jnp.where(is_real, score.reshape(-1)[index], 0),
        is_real=is_real,
    )


def detect(
    proposals: Proposals,
    logits: Float[Array, "boxes classes_and_background"],
    codes: Float[Array, "boxes classes 4"],
    size: Float[Array, "2"],
    *,
    limit: int = 100,
    num_candidates: int = 5000,
    score_floor: float = 0.05,
    threshold: float = 0.5,
) -> Detections:
    """Chooses detections of one image among all pairs of a proposal and a class.

    Args:
      proposals: proposals of the image.
      logits: logits of the classes of each proposal, background last.
      codes: code of the box of every class, relative to the proposal.
      size: (height, width) of the image before it was padded, in pixels, which boxes are clipped to.
      limit: largest number of detections.
      num_candidates: largest number of pairs that are compared, those of the highest score.
      score_floor: pairs need a higher probability.
      threshold: intersection over union above which the worse box of a class goes.

    Source: MMDetection `multiclass_nms`, which compares all pairs above the floor.
    """
    score = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)[:, :-1]
    is_candidate = (score > score_floor) & proposals.is_real[:, None]
    num_classes = score.shape[1]
    index, is_box = _best(score.reshape(-1), is_candidate.reshape(-1), number=min(num_candidates, score.size))
    label = index % num_classes
    chosen = codes.reshape(-1, 4)[index]
    yxyx = clip(decode(proposals.yxyx[index // num_classes], chosen, BOX_STDS), size)
    scores = score.reshape(-1)[index]
    kept = suppress(yxyx, scores, label, is_box=is_box, threshold=threshold)
    place, is_real = _best(scores, kept, number=limit)
    return Detections(
        yxyx=jnp.where(is_real[:, None], yxyx[place], 0),
        score=jnp.where(is_real, scores[place], 0),
        label=jnp.where(is_real, label[place], 0),
        is_real=is_real,
        num_dropped=jnp.sum(is_candidate, dtype=jnp.int32) - jnp.sum(is_box, dtype=jnp.int32),
    )


def _best_of_level(
    logits: Float[Array, " anchors"],
    codes: Float[Array, "anchors 4"],
    anchors: Float[Array, "anchors 4"],
    size: Float[Array, "2"],
    *,
    number: int,
) -> tuple[Float[Array, "number 4"], Float[Array, " number"], Bool[Array, " number"]]:
    """Decodes the best anchors of one level, padded; a box that clipping leaves no area is no box."""
    score = jax.nn.sigmoid(logits.astype(jnp.float32))
    index, is_box = _best(score, jnp.ones_like(score, bool), number=number)
    yxyx = clip(decode(anchors[index], codes[index].astype(jnp.float32), RPN_STDS), size)
    return yxyx, score[index], is_box & jnp.all(yxyx[:, 2:] > yxyx[:, :2], axis=1)


def _best(
    score: Float[Array, " boxes"], is_box: Bool[Array, " boxes"], *, number: int
) -> tuple[Int32[Array, " number"], Bool[Array, " number"]]:
    """Returns the places of the highest scores, of equal ones the first, and which places are not padding."""
    found, index = jax.lax.top_k(jnp.where(is_box, score, -jnp.inf), min(number, len(score)))
    missing = (0, number - len(index))
    return jnp.pad(index, missing), jnp.pad(found > -jnp.inf, missing)
