"""Samples of anchors and regions with their classes, codes and masks, beside the objects that they come from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.detection.boxes import decode
from gauss_vit.ops.detection.matching import BOX_HEAD, RPN
from gauss_vit.ops.detection.selection import BOX_STDS, RPN_STDS, Proposals
from gauss_vit.ops.detection.targets import Sampling, anchor_targets, mask_targets, region_targets
from tests.ops.detection.scenes import boxes_of, overlaps

NUM_ANCHORS, NUM_OBJECTS, NUM_CLASSES, NUM_SCENES = 60, 5, 4, 50
ANCHORS, REGIONS = (
    Sampling(matching=matching, size=12, largest_share=share) for matching, share in ((RPN, 0.5), (BOX_HEAD, 0.25))
)


def scene(seed: int) -> tuple[np.ndarray, ...]:
    """Boxes, the last of which do not take part, objects of which there are 0 to 4, their labels and priorities."""
    random = np.random.default_rng(seed)
    drawn = np.clip(boxes_of(random, NUM_ANCHORS + NUM_OBJECTS), 0, 64)
    drawn[:, 2:] = np.maximum(drawn[:, 2:], drawn[:, :2] + 1)
    boxes, objects = drawn[:NUM_ANCHORS], drawn[NUM_ANCHORS:]
    boxes[:8] = np.repeat(objects[:4], 2, axis=0) + random.normal(0, 1, (8, 4)).astype(np.float32)
    objects[seed % NUM_OBJECTS :] = 0
    takes_part = np.arange(NUM_ANCHORS) < 50
    label = random.integers(NUM_CLASSES, size=NUM_OBJECTS).astype(np.int32)
    return boxes, takes_part, objects, label, random.random(NUM_OBJECTS + NUM_ANCHORS).astype(np.float32)


SCENES = [np.stack(parts) for parts in zip(*map(scene, range(NUM_SCENES)), strict=True)]


@functools.cache
def of_scenes():
    """The targets of all scenes."""

    def of_scene(boxes, takes_part, objects, label, priority):
        anchors = anchor_targets(
            boxes, objects, is_inside=takes_part, priority=priority[NUM_OBJECTS:], sampling=ANCHORS
        )
        proposals = Proposals(yxyx=boxes, score=priority[NUM_OBJECTS:], is_real=takes_part)
        regions = region_targets(
            proposals, objects, label, num_classes=NUM_CLASSES, priority=priority, sampling=REGIONS
        )
        crops = jnp.broadcast_to(jnp.asarray([[255, 0], [0, 0]], jnp.uint8), (NUM_OBJECTS, 2, 2))
        return anchors, regions, mask_targets(regions, objects, crops, size=4)

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(of_scene))(*SCENES))


def test_codes_of_anchors_lead_to_the_objects_that_they_overlap_most():
    boxes, takes_part, objects, *_ = SCENES
    anchors, *_ = of_scenes()
    for place in range(NUM_SCENES):
        index, is_positive = anchors.sample.index[place], anchors.sample.is_positive[place]
        assert np.all(takes_part[place][index]) and np.all(anchors.sample.is_real[place])
        assert is_positive.any() == (place % NUM_OBJECTS > 0)
        chosen = boxes[place][index[is_positive]]
        found = decode(jnp.asarray(chosen), jnp.asarray(anchors.code[place][is_positive]), RPN_STDS)
        distance = np.abs(np.asarray(found)[:, None] - objects[place][None]).max(axis=-1)
        assert np.all(distance.min(axis=1) < 1e-3)
        # Low quality ends there.
        assert np.all(np.diag(overlaps(chosen, np.asarray(found))) >= 0.3 - 1e-5)
        assert not np.any(anchors.code[place][~is_positive])


def test_regions_of_objects_have_their_class_and_code_and_the_others_neither():
    _, _, objects, label, _ = SCENES
    _, regions, _ = of_scenes()
    for place in range(NUM_SCENES):
        is_positive, of_object = regions.sample.is_positive[place], regions.object[place]
        assert is_positive.sum() <= 3
        np.testing.assert_array_equal(regions.label[place][is_positive], label[place][of_object[is_positive]])
        assert np.all(regions.label[place][~is_positive] == NUM_CLASSES) and not np.any(of_object[~is_positive])
        found = decode(jnp.asarray(regions.yxyx[place]), jnp.asarray(regions.code[place]), BOX_STDS)
        np.testing.assert_allclose(np.asarray(found)[is_positive], objects[place][of_object[is_positive]], atol=1e-3)
        assert not np.any(regions.code[place][~is_positive])


def test_objects_are_regions_of_their_own():
    _, _, objects, _, priority = SCENES
    priority = priority.copy()
    priority[:, :NUM_OBJECTS] = 0
    place = NUM_OBJECTS + 3
    boxes, takes_part, _, label, _ = (part[place] for part in SCENES)
    proposals = Proposals(yxyx=boxes, score=priority[place, NUM_OBJECTS:], is_real=takes_part)
    found = jax.jit(functools.partial(region_targets, num_classes=NUM_CLASSES, sampling=REGIONS))(
        proposals, objects[place], label, priority=priority[place]
    )
    assert found.object[:3].tolist() == found.sample.index[:3].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.yxyx[:3], objects[place][:3])
    assert not np.any(found.code[:3])


def test_masks_are_those_of_the_regions_of_objects():
    _, regions, masks = of_scenes()
    is_positive = regions.sample.is_positive
    assert not np.any(masks[~is_positive])
    # The upper left quarter of every object is all of its mask.
    is_own = is_positive & ~np.any(regions.code, axis=-1)
    expected = np.zeros((4, 4), bool)
    expected[:2, :2] = True
    assert is_own.sum() > 10
    np.testing.assert_array_equal(masks[is_own], np.broadcast_to(expected, masks[is_own].shape))


def test_an_image_without_objects_has_background_alone():
    anchors, regions, masks = jax.tree.map(lambda leaf: leaf[0], of_scenes())
    for targets in (anchors, regions):
        assert not np.any(targets.sample.is_positive) and np.all(targets.sample.is_real) and not np.any(targets.code)
    assert not np.any(masks)


@pytest.mark.parametrize(("size", "share", "number"), [(512, 0.25, 128), (7, 0.5, 3)])
def test_positives_are_a_share_of_the_sample_rounded_down(size: int, share: float, number: int):
    assert Sampling(matching=RPN, size=size, largest_share=share).num_positives == number
