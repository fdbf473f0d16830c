"""Proposals and detections beside the same choice in lists, with ties, empty levels and padding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.ops.detection.selection import Proposals, detect, propose
from tests.ops.detection.scenes import boxes_of, overlaps

SIZE = (48.0, 64.0)
LEVELS, NUM_BEFORE, NUM_AFTER = (40, 12, 3), 16, 20
NUM_PROPOSALS, NUM_CLASSES, LIMIT = 30, 4, 10
SCENES = range(100)


def clipped(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes, 0, np.array([*SIZE, *SIZE], np.float32))


def greedy(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, threshold: float) -> list[int]:
    overlap, kept = overlaps(boxes, boxes), []
    for index in np.argsort(-scores, kind="stable"):
        rivals = [other for other in kept if groups[other] == groups[index]]
        if not np.any(overlap[rivals, index] > threshold):
            kept.append(index)
    return kept


def levels_of(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Logits and anchors by level; the boxes are the anchors themselves, as all codes are zero."""
    random = np.random.default_rng(seed)
    logits = [(random.integers(-6, 6, size=number) / 2).astype(np.float32) for number in LEVELS]
    return logits, [boxes_of(random, number) for number in LEVELS]


def test_proposals_are_the_best_of_all_levels():
    @jax.jit
    @jax.vmap
    def found_in(logits, anchors):
        codes = [jnp.zeros_like(boxes) for boxes in anchors]
        return propose(logits, codes, anchors, jnp.asarray(SIZE), num_before=NUM_BEFORE, num_after=NUM_AFTER)

    scenes = [levels_of(seed) for seed in SCENES]
    found = found_in(*jax.tree.map(lambda *parts: np.stack(parts), *scenes))
    for place, (logits, anchors) in enumerate(scenes):
        boxes, scores, levels = [], [], []
        for level, (logit, anchor) in enumerate(zip(logits, anchors, strict=True)):
            score = np.asarray(jax.nn.sigmoid(logit))
            best = np.argsort(-score, kind="stable")[:NUM_BEFORE]
            box = clipped(anchor[best])
            has_area = np.all(box[:, 2:] > box[:, :2], axis=1)
            boxes.append(box[has_area])
            scores.append(score[best][has_area])
            levels.append(np.full(has_area.sum(), level))
        boxes, scores, levels = map(np.concatenate, (boxes, scores, levels))
        kept = greedy(boxes, scores, levels, 0.7)[:NUM_AFTER]
        assert np.sum(found.is_real[place]) == len(kept)
        np.testing.assert_allclose(found.score[place][: len(kept)], scores[kept], rtol=1e-6)
        np.testing.assert_allclose(found.yxyx[place][: len(kept)], boxes[kept], atol=1e-4)
        assert not np.any(found.yxyx[place][len(kept) :])


def candidates_of(seed: int) -> tuple[Proposals, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    boxes = clipped(boxes_of(random, NUM_PROPOSALS))
    # No ties: the last bit of a softmax depends on how it was compiled.
    logits = 2 * random.normal(size=(NUM_PROPOSALS, NUM_CLASSES + 1)).astype(np.float32)
    logits[:, -1] += 1
    is_real = random.random(NUM_PROPOSALS) < (0.8 if seed else 0.0)
    codes = random.normal(size=(NUM_PROPOSALS, NUM_CLASSES, 4)).astype(np.float32)
    return Proposals(yxyx=boxes, score=np.ones(NUM_PROPOSALS, np.float32), is_real=is_real), logits, codes


def decoded(boxes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The box of every class."""
    centre, sides = (boxes[:, :2] + boxes[:, 2:])[:, None] / 2, (boxes[:, 2:] - boxes[:, :2])[:, None]
    middle, half = centre + sides * codes[..., :2] * 0.1, sides * np.exp(codes[..., 2:] * 0.2) / 2
    return clipped(np.concatenate([middle - half, middle + half], axis=-1))


def test_detections_are_the_best_of_all_pairs():
    choose = functools.partial(detect, limit=LIMIT, num_candidates=NUM_PROPOSALS * NUM_CLASSES)
    scenes = [candidates_of(seed) for seed in SCENES]
    found = jax.jit(jax.vmap(lambda *parts: choose(*parts, jnp.asarray(SIZE))))(
        *jax.tree.map(lambda *parts: np.stack(parts), *scenes)
    )
    for place, (proposals, logits, codes) in enumerate(scenes):
        scores = np.asarray(jax.nn.softmax(logits, axis=-1))[:, :-1]
        row, label = np.nonzero((scores > 0.05) & proposals.is_real[:, None])
        boxes, score = decoded(proposals.yxyx, codes)[row, label], scores[row, label]
        kept = greedy(boxes, score, label, 0.5)[:LIMIT]
        assert np.sum(found.is_real[place]) == len(kept)
        np.testing.assert_allclose(found.score[place][: len(kept)], score[kept], rtol=1e-6)
        np.testing.assert_array_equal(found.label[place][: len(kept)], label[kept])
        np.testing.assert_allclose(found.yxyx[place][: len(kept)], boxes[kept], atol=1e-4)
    assert not np.any(found.num_dropped)


def test_candidates_without_a_place_are_counted():
    proposals, logits, codes = jax.tree.map(jnp.asarray, candidates_of(1))
    all_places = NUM_PROPOSALS * NUM_CLASSES
    detect_of = jax.jit(detect, static_argnames="num_candidates")
    few, many = (detect_of(proposals, logits, codes, jnp.asarray(SIZE), num_candidates=n) for n in (8, all_places))
    is_candidate = (jax.nn.softmax(logits, axis=-1)[:, :-1] > 0.05) & proposals.is_real[:, None]
    assert int(few.num_dropped) == int(np.sum(is_candidate)) - 8 and int(many.num_dropped) == 0
