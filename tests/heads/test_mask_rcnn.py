"""Mask R-CNN: its size, what it samples and finds, padded images, precision and gradients."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.heads.box_head import BoxHead, BoxPredictor
from gauss_vit.heads.fpn import FPN
from gauss_vit.heads.mask_head import MaskHead, MaskPredictor
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import Head, HeadConfig, NetworkConfig, TargetReader
from gauss_vit.heads.rpn import RPN, RPNHead
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets.swin import SWIN_BASE, SWIN_SMALL, SWIN_TINY, for_dense_tasks
from gauss_vit.tasks.detection_losses import loss_terms
from gauss_vit.train.cost import image_flops
from gauss_vit.train.state import AbstractModel
from gauss_vit.tree import flatten_paths
from tests.heads.detectors import BACKBONE, HEAD, NETWORK, NUM_CLASSES, SIZE, detector, images_of, targets_of
from tests.models.test_vit import RELATIVE

KEY = jax.random.key(0)
VIT = dataclasses.replace(RELATIVE, image_size=SIZE, patch_size=(8, 8))


@pytest.mark.parametrize(
    ("preset", "count"), [(SWIN_TINY, 47_794_602), (SWIN_SMALL, 69_112_506), (SWIN_BASE, 107_141_800)]
)
def test_number_of_parameters_is_that_of_mmdetection(preset, count):
    _, params = abstract(NetworkConfig(backbone=for_dense_tasks(preset), head=MaskRCNNHead()))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_parameters_start_as_mmdetection_draws_them():
    fpn = FPN((30,), 40, key=KEY)
    rpn = RPN(RPNHead(), 40, key=KEY)
    box = BoxPredictor(BoxHead(hidden=60, bins=3), 20, num_classes=30, key=KEY)
    mask = MaskPredictor(MaskHead(channels=30, num_convolutions=1), 40, num_classes=20, key=KEY)
    expected = (
        *((layer, 0.01) for layer in (rpn.convolution, rpn.classifier, rpn.regressor, box.classifier)),
        (box.regressor, 0.001),
        (fpn.laterals["0"], np.sqrt(2 / (30 + 40))),
        (fpn.smoothing["0"], np.sqrt(2 / (9 * (40 + 40)))),
        (box.fc1, np.sqrt(2 / (9 * 20 + 60))),
        (box.fc2, np.sqrt(2 / (60 + 60))),
        (mask.convolutions["0"], np.sqrt(2 / (9 * 30))),
        (mask.upsampling, np.sqrt(2 / (4 * 30))),
        (mask.classifier, np.sqrt(2 / 20)),
    )
    for layer, std in expected:
        kernel = np.asarray(layer.kernel[...])
        # The standard deviation of n draws is known to 1 / sqrt(2 n): four of these.
        np.testing.assert_allclose(np.std(kernel), std, rtol=4 / np.sqrt(2 * kernel.size))
        assert not np.any(layer.bias[...])


@pytest.mark.full
def test_multiply_adds_are_those_that_are_published():
    graph, params = abstract(NetworkConfig(backbone=for_dense_tasks(SWIN_SMALL), head=MaskRCNNHead()))
    flops = image_flops(AbstractModel(graph=graph, params=params), (800, 1280))
    parts = {"backbone": 187.6, "head.fpn": 53.1, "head.rpn": 50.6, "head.box": 14.3, "head.mask": 53.0}
    assert {part: round(count / 1e9, 1) for part, count in flops.multiply_adds.items()} == parts
    assert round(sum(flops.multiply_adds.values()) / 1e9, 1) == 358.6


@pytest.mark.parametrize("backbone", [BACKBONE, VIT], ids=["swin", "vit"])
def test_every_cell_of_the_maps_has_its_anchors(backbone):
    graph, params = abstract(NetworkConfig(backbone=backbone, head=HEAD))
    images = images_of(1)

    def logits(params):
        network = nnx.merge(graph, params)
        return network.head.rpn(network.head.maps(network.backbone, images)).logits

    anchors = nnx.merge(graph, params).head.anchors
    assert anchors.strides[:2] == ((4, 8) if backbone is BACKBONE else (2, 4))
    found = jax.eval_shape(logits, params)
    assert [each.shape[1] for each in found] == [len(boxes) for boxes in anchors.boxes(SIZE)]


@jax.jit
def compared(network, images, targets, priorities):
    """What training compares for some priorities, the terms of the loss by image, and the gradient of their sum."""
    graph, params = nnx.split(network)

    def loss(params):
        network = nnx.merge(graph, params)
        maps = network.head.maps(network.backbone, images)
        anchor_priority, region_priority = priorities
        outputs = network.head.sample(
            maps, targets, image_size=SIZE, anchor_priority=anchor_priority, region_priority=region_priority
        )
        each = jnp.eye(len(images), dtype=bool)
        values = {
            name: jax.vmap(lambda chosen, name=name: loss_terms(outputs, chosen)[name].value())(each)
            for name in loss_terms(outputs, each[0])
        }
        return sum(jnp.sum(value) for value in values.values()), (outputs, values)

    (_, (outputs, values)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return outputs, values, nnx.to_pure_dict(gradient)


@functools.cache
def trained():
    """Two images, of which the second has no object."""
    return jax.tree.map(np.asarray, compared(detector(), images_of(), targets_of(), priorities_of()))


def priorities_of():
    random, num_anchors = np.random.default_rng(2), sum(map(len, detector().head.anchors.boxes(SIZE)))
    num_regions = targets_of().label.shape[1] + HEAD.rpn.num_proposals
    return tuple(jnp.asarray(random.random((2, number)), jnp.float32) for number in (num_anchors, num_regions))


def test_anchors_and_regions_of_objects_and_background_are_compared():
    outputs, *_ = trained()
    for part, share in ((outputs.anchors, 0.5), (outputs.regions, 0.25)):
        number = part.is_positive.sum(axis=1)
        assert 0 < number[0] <= share * part.is_positive.shape[1] and number[1] == 0
        assert np.all(part.is_real) and not np.any(part.target[~part.is_positive])
    anchors, regions = outputs.anchors, outputs.regions
    assert np.any(anchors.target[anchors.is_positive])
    assert set(regions.label[regions.is_positive]) <= set(targets_of().label[0].tolist())
    assert np.all(regions.label[~regions.is_positive] == NUM_CLASSES)
    assert not np.any(regions.code[~regions.is_positive]) and np.any(regions.code)
    np.testing.assert_array_equal(outputs.masks.is_real, regions.is_positive[:, :6])
    # Discs that fill their boxes cover most of regions that overlap them by half.
    assert 0.3 < outputs.masks.target[outputs.masks.is_real].mean() < 0.95


def test_an_image_without_objects_learns_background_alone():
    _, values, _ = trained()
    assert all(np.all(np.isfinite(value)) for value in values.values())
    assert {name for name, value in values.items() if value[1] == 0} == {"rpn_box_loss", "box_loss", "mask_loss"}
    assert all(value[0] > 0 for value in values.values())


def test_gradients_of_all_parameters_are_finite_and_alive():
    *_, gradient = trained()
    for path, leaf in flatten_paths(gradient).items():
        assert np.all(np.isfinite(leaf)) and np.any(leaf), path


def test_images_of_a_batch_do_not_meet():
    swap = functools.partial(jax.tree.map, lambda leaf: leaf[::-1])
    swapped = compared(detector(), swap(images_of()), swap(targets_of()), swap(priorities_of()))
    for mine, theirs in zip(jax.tree.leaves(trained()[:2]), jax.tree.leaves(swap(swapped[:2])), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_no_gradient_reaches_the_proposals():
    head = detector().head
    maps = [jnp.ones((1, rows, columns, HEAD.channels)) for rows, columns in head.anchors.grids(SIZE)]
    predictions = jax.eval_shape(head.rpn, tuple(maps))
    predictions = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), predictions)
    size = jnp.asarray([SIZE], jnp.int32)

    def corners(predictions):
        found = head.propose(predictions, size, image_size=SIZE, num_before=HEAD.rpn.num_before)
        return jnp.sum(found.yxyx) + jnp.sum(found.score)

    assert not any(np.any(leaf) for leaf in jax.tree.leaves(jax.jit(jax.grad(corners))(predictions)))


@functools.cache
def found_in(is_noisy: bool):
    """What is found in padded images, with zeros or noise outside of them."""
    size = jnp.asarray([[64, 96], [40, 56]], jnp.int32)
    noise = jnp.where(jnp.arange(64)[None, :, None, None] < size[:, :1, None, None], 0.0, 9.0)
    images = images_of() + (noise if is_noisy else 0)
    targets = dataclasses.replace(targets_of(), size=size)
    return size, jax.tree.map(np.asarray, _found(detector(), images, targets))


@jax.jit
def _found(network, images, targets):
    return network(images, targets=targets)


def test_objects_are_found_inside_their_images_by_falling_score():
    size, found = found_in(False)
    objects = found.objects
    assert np.all(objects.is_real.sum(axis=1) > 0) and np.all(np.diff(objects.score, axis=1) <= 0)
    assert np.all(objects.yxyx >= 0) and np.all(objects.yxyx[..., 2:] <= np.asarray(size)[:, None])
    assert np.all((objects.label >= 0) & (objects.label < NUM_CLASSES))
    assert found.masks.shape == (2, 8, 8, 8) and 0 <= found.masks.min() < 0.5 < found.masks.max() <= 1


def test_pixels_outside_an_image_say_nothing():
    jax.tree.map(np.testing.assert_array_equal, found_in(True), found_in(False))


def test_outputs_that_are_not_numbers_are_not_taken_for_nothing():
    graph, params = nnx.split(detector())
    broken = nnx.merge(graph, jax.tree.map(lambda leaf: leaf * jnp.nan, params))
    assert np.isnan(_found(broken, images_of(), targets_of()).objects.score).all()
    assert np.isfinite(found_in(False)[1].objects.score).all()


def shapes(network: NetworkConfig, *, is_training: bool):
    graph, params = abstract(network)

    def outputs(params):
        merged = nnx.merge(graph, params)
        return merged(images_of(), targets=targets_of(), key=KEY if is_training else None)

    return jax.eval_shape(outputs, params)


def test_without_a_mask_head_there_are_no_masks():
    network = dataclasses.replace(NETWORK, head=dataclasses.replace(HEAD, mask=None))
    assert shapes(network, is_training=True).masks is None and shapes(network, is_training=False).masks is None
    assert not any(path.startswith("head.mask") for path in flatten_paths(abstract(network)[1]))


@pytest.mark.parametrize(("samples", "is_training"), [(2, True), (None, False)])
def test_outputs_of_half_precision_are_float32(samples, is_training):
    backbone = dataclasses.replace(BACKBONE, compute=Compute(dtype="bfloat16"))
    network = NetworkConfig(backbone=backbone, head=dataclasses.replace(HEAD, samples=samples))
    outputs = jax.tree.leaves(shapes(network, is_training=is_training))
    assert {leaf.dtype for leaf in outputs} <= {jnp.dtype(kind) for kind in ("float32", "int32", "bool")}


@pytest.mark.full
def test_losses_in_half_precision_are_near_those_of_float32():
    backbone = dataclasses.replace(BACKBONE, compute=Compute(dtype="bfloat16"))
    network = detector(dataclasses.replace(NETWORK, backbone=backbone))
    _, values, gradient = compared(network, images_of(), targets_of(), priorities_of())
    _, exact, _ = trained()
    # The same anchors are compared; some twenty layers round to 8 bits each.
    for name in ("rpn_class_loss", "rpn_box_loss"):
        np.testing.assert_allclose(values[name], exact[name], rtol=0.1)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.float32)}
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_it_is_a_head_that_reads_targets():
    assert isinstance(HEAD, HeadConfig)
    head = detector().head
    assert isinstance(head, Head) and isinstance(head, TargetReader)
    with pytest.raises(ValueError, match="with_targets"):
        detector()(images_of(), key=KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskRCNNHead(num_classes=0), "num_classes must be at least 1"),
        (lambda: MaskRCNNHead(samples=0), "samples must be at least 1"),
        (lambda: RPNHead(num_proposals=0), "num_proposals must be at least 1"),
        (lambda: RPNHead(overlap=1.5), r"overlap must be in \[0, 1\]"),
        (lambda: BoxHead(positive_share=0.0), r"positive_share must be in \(0, 1\]"),
        (lambda: RPNHead(ratios=()), "positive strides, ratios and scale"),
        (lambda: BoxHead(limit=0), "limit must be at least 1"),
        (lambda: BoxHead(score_floor=-0.1), r"score_floor must be in \[0, 1\]"),
        (lambda: MaskHead(bins=0), "bins must be at least 1"),
        (
            lambda: abstract(NetworkConfig(backbone=BACKBONE, head=dataclasses.replace(HEAD, num_classes=None))),
            "num_classes is None",
        ),
        (
            lambda: abstract(NetworkConfig(backbone=dataclasses.replace(BACKBONE, patch_size=(2, 4)), head=HEAD)),
            "squares of whole pixels",
        ),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
