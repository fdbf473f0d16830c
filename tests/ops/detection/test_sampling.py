"""Samples beside sorted lists."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.ops.detection.matching import BACKGROUND, IGNORED
from gauss_vit.ops.detection.sampling import sample

NUM_BOXES, SIZE, SHARE, NUM_SCENES = 40, 16, 0.25, 500


def by_hand(matched: np.ndarray, priority: np.ndarray) -> tuple[list[int], list[int]]:
    order = np.argsort(priority, kind="stable")
    positives = [index for index in order if matched[index] >= 0][: int(SIZE * SHARE)]
    negatives = [index for index in order if matched[index] == BACKGROUND][: SIZE - len(positives)]
    return positives, negatives


def test_samples_are_the_lowest_priorities_positives_first():
    random = np.random.default_rng(0)
    shares = random.dirichlet((0.3, 0.3, 0.3), NUM_SCENES)
    matched = np.stack([random.choice([3, BACKGROUND, IGNORED], size=NUM_BOXES, p=share) for share in shares])
    matched[0], matched[1], matched[2] = 3, BACKGROUND, IGNORED
    priority = (random.integers(20, size=matched.shape) / 20).astype(np.float32)
    draw = jax.jit(jax.vmap(functools.partial(sample, size=SIZE, largest_share=SHARE)))
    found = draw(matched.astype(np.int32), priority)
    for scene in range(NUM_SCENES):
        positives, negatives = by_hand(matched[scene], priority[scene])
        num_real = len(positives) + len(negatives)
        assert found.index[scene][:num_real].tolist() == positives + negatives
        assert found.is_positive[scene].tolist() == [place < len(positives) for place in range(SIZE)]
        assert found.is_real[scene].tolist() == [place < num_real for place in range(SIZE)]
        assert not np.any(found.index[scene][num_real:])


def test_more_places_than_boxes_are_padded():
    found = sample(jnp.array([0, BACKGROUND]), jnp.array([0.5, 0.1]), size=8, largest_share=0.5)
    assert found.index.tolist()[:2] == [0, 1] and found.is_real.tolist() == [True, True, *[False] * 6]
