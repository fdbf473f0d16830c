"""Every step of Mask R-CNN equals MMDetection's, each from what MMDetection gave to it.

`tests.heads.record_mask_rcnn` says what was recorded. Choices are equal, and boxes differ by less than 1e-3 pixels.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.detection.anchors import Anchors
from gauss_vit.ops.detection.boxes import encode
from gauss_vit.ops.detection.masks import mask_target, paste
from gauss_vit.ops.detection.matching import BOX_HEAD, RPN, Matching, match
from gauss_vit.ops.detection.roi_align import levels_of, roi_align_adaptive
from gauss_vit.ops.detection.sampling import sample
from gauss_vit.ops.detection.selection import BOX_STDS, RPN_STDS, Proposals, detect, propose
from tests.heads import mask_rcnn_case as case
from tests.heads.mask_rcnn_record import IMAGES, RECORDED, anchor_priorities, bits, is_inside, levels, objects

ANCHORS = Anchors().boxes(case.BATCH_SIZE)
SIZES = [np.asarray(image.size, np.float32) for image in case.IMAGES]
STRIDES = (4, 8, 16, 32)
PIXELS = 1e-3


def of_image(name: str, image: int) -> np.ndarray:
    """Returns a quantity of the sampled regions of an image."""
    return RECORDED[name][RECORDED["roi_images"] == image]


def positive_boxes(image: int) -> np.ndarray:
    """Returns the sampled regions of objects, which come first."""
    return of_image("rois", image)[: len(RECORDED[f"box_positive.{image}"])]


def positive_objects(image: int) -> np.ndarray:
    """Returns the objects of these regions."""
    return RECORDED[f"box_matched.{image}"][RECORDED[f"box_positive.{image}"]]


@partial(jax.jit, static_argnames=("matching", "size", "share"))
def chosen(boxes, is_box, objects, priority, *, num_own: int, matching: Matching, size: int, share: float):
    """Matches boxes, after a number of them that are the objects themselves, and samples."""
    places = jnp.arange(len(boxes), dtype=jnp.int32)
    is_object = jnp.ones(len(objects), bool)
    matched = match(boxes, objects, is_box=is_box & (places >= num_own), is_object=is_object, matching=matching)
    matched = jnp.where(places < num_own, places, matched)
    return matched, sample(matched, priority, size=size, largest_share=share)


def assert_choice_equals(choice, stage: str, image: int):
    matched, samples = jax.device_get(choice)
    np.testing.assert_array_equal(matched, RECORDED[f"{stage}_matched.{image}"])
    is_negative = samples.is_real & ~samples.is_positive
    np.testing.assert_array_equal(np.sort(samples.index[samples.is_positive]), RECORDED[f"{stage}_positive.{image}"])
    np.testing.assert_array_equal(np.sort(samples.index[is_negative]), RECORDED[f"{stage}_negative.{image}"])


def test_anchors_equal():
    for ours, recorded in zip(ANCHORS, levels("anchors"), strict=True):
        np.testing.assert_allclose(ours, recorded, rtol=0, atol=PIXELS)
    sizes = jnp.array([image.size for image in case.IMAGES], jnp.int32)
    inside = np.concatenate(jax.jit(partial(Anchors().is_inside, case.BATCH_SIZE))(sizes), axis=1)
    np.testing.assert_array_equal(inside, [is_inside(image) for image in IMAGES])


def test_matched_and_sampled_anchors_equal():
    for image in IMAGES:
        priorities = anchor_priorities(image)
        options = {"num_own": 0, "matching": RPN, "size": case.RPN_SAMPLES, "share": case.RPN_SHARE}
        choice = chosen(np.concatenate(ANCHORS), is_inside(image), objects(image), priorities, **options)
        assert_choice_equals(choice, "rpn", image)


@pytest.mark.parametrize("form", case.PROPOSALS)
def test_proposals_equal(form):
    before, after = case.PROPOSALS[form]
    program = jax.jit(partial(propose, num_before=before, num_after=after))
    for image in IMAGES:
        logits, codes = ([level[image] for level in levels(name)] for name in ("rpn_logits", "rpn_codes"))
        found = program(logits, codes, ANCHORS, SIZES[image])
        number = len(RECORDED[f"{form}_scores.{image}"])
        np.testing.assert_array_equal(found.is_real, np.arange(after) < number)
        np.testing.assert_allclose(found.yxyx[:number], RECORDED[f"{form}_proposals.{image}"], rtol=0, atol=PIXELS)
        np.testing.assert_allclose(found.score[:number], RECORDED[f"{form}_scores.{image}"], rtol=1e-5)


def test_matched_and_sampled_regions_equal():
    for image in IMAGES:
        boxes = np.concatenate([objects(image), RECORDED[f"train_proposals.{image}"]])
        priorities = case.priorities("box", image, len(boxes))
        options = {"matching": BOX_HEAD, "size": case.BOX_SAMPLES, "share": case.BOX_SHARE}
        choice = chosen(
            boxes, np.ones(len(boxes), bool), objects(image), priorities, num_own=len(objects(image)), **options
        )
        assert_choice_equals(choice, "box", image)


def test_targets_of_codes_equal():
    anchors, program = np.concatenate(ANCHORS), jax.jit(encode, static_argnums=2)
    for image in IMAGES:
        places = RECORDED[f"rpn_positive.{image}"]
        wanted = objects(image)[RECORDED[f"rpn_matched.{image}"][places]]
        codes = program(anchors[places], wanted, RPN_STDS)
        np.testing.assert_allclose(codes, RECORDED[f"rpn_targets.{image}"], rtol=1e-5, atol=1e-6)
        wanted = objects(image)[positive_objects(image)]
        codes = program(positive_boxes(image), wanted, BOX_STDS)
        np.testing.assert_allclose(codes, RECORDED[f"box_targets.{image}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "bins", "step"), [("box_features", 7, 3), ("mask_features", 14, 6)])
def test_features_of_regions_equal(name, bins, step):
    def features(boxes, maps):
        level = levels_of(boxes, num_levels=len(STRIDES))
        found = jnp.stack(
            [
                roi_align_adaptive(each, boxes, stride=stride, bins=bins)
                for each, stride in zip(maps, STRIDES, strict=True)
            ]
        )
        return level, found[level, jnp.arange(len(boxes)), ::step, ::step]

    program, of_object = jax.jit(features), RECORDED["class_targets"] < case.NUM_CLASSES
    for image in IMAGES:
        boxes = of_image("rois", image)
        level, found = program(boxes, [each[image] for each in levels("fpn")[:4]])
        np.testing.assert_array_equal(level, of_image("roi_levels", image))
        recorded = RECORDED[name]
        images = RECORDED["roi_images"] if name == "box_features" else RECORDED["roi_images"][of_object]
        recorded = recorded[images == image]
        np.testing.assert_allclose(found[: len(recorded)], recorded, rtol=1e-5, atol=1e-5 * np.abs(recorded).max())


def test_mask_targets_equal():
    number = sum(len(RECORDED[f"box_positive.{image}"]) for image in IMAGES)
    recorded = bits("mask_targets", (number, 28, 28))
    program = jax.jit(jax.vmap(lambda mask, box: mask_target(mask, box[None], size=28)[0]))
    targets = [program(case.IMAGES[image].masks()[positive_objects(image)], positive_boxes(image)) for image in IMAGES]
    np.testing.assert_array_equal(np.concatenate(targets), recorded)


def test_detections_equal():
    program = jax.jit(partial(detect, limit=case.DETECTIONS))
    for image, scale in enumerate(case.scales()):
        yxyx, score = RECORDED[f"test_proposals.{image}"], RECORDED[f"test_scores.{image}"]
        proposals = Proposals(yxyx=yxyx, score=score, is_real=np.ones(len(score), bool))
        logits, codes = RECORDED[f"test_class_logits.{image}"], RECORDED[f"test_box_codes.{image}"]
        found = program(proposals, logits, codes, SIZES[image])
        assert found.is_real.all() and len(RECORDED[f"labels.{image}"]) == case.DETECTIONS
        np.testing.assert_array_equal(found.label, RECORDED[f"labels.{image}"])
        np.testing.assert_allclose(found.score, RECORDED[f"scores.{image}"], rtol=1e-5)
        original = np.asarray(found.yxyx) / np.tile(scale, 2).astype(np.float32)
        np.testing.assert_allclose(original, RECORDED[f"detections.{image}"], rtol=0, atol=PIXELS)


def test_pasted_masks_equal():
    for image in IMAGES:
        size = case.IMAGES[image].original_size
        masks = bits(f"masks.{image}", (case.DETECTIONS, *size))
        boxes, probabilities = RECORDED[f"detections.{image}"], RECORDED[f"probabilities.{image}"]
        for mask, box, probability in zip(masks, boxes, probabilities, strict=True):
            np.testing.assert_array_equal(paste(probability, box, size), mask)
