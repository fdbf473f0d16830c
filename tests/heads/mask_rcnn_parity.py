"""Compares our Mask R-CNN, with MMDetection's weights, with recorded values of MMDetection's.

python -m tests.heads.mask_rcnn_parity  prints the differences of every recorded quantity; it needs no torch.

Everything is compared that `tests.heads.record_mask_rcnn` lists, each from the images on. Two things need a word:

- The masks of objects are cut to 112 x 112 cells of their boxes here, and sampled from whole images there, so that
  cells at an edge may differ; they are counted, and the losses are compared with MMDetection's targets.
- A pixel whose probability is within rounding of a half may be drawn or not: pixels are counted where neither of two
  thresholds beside a half gives MMDetection's.
"""

import dataclasses
import functools
import sys
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gauss_vit.batches import Batch, Boxes, ObjectTargets
from gauss_vit.heads.detections import SampledOutputs
from gauss_vit.models.construct import abstract
from gauss_vit.ops.detection.masks import paste
from gauss_vit.ops.detection.roi_align import roi_align_adaptive
from gauss_vit.tasks.detected_objects import DetectedObjects
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.detection_losses import loss_terms
from gauss_vit.tasks.task import Examples
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import mmdet_rules
from tests.heads import mask_rcnn_case as case
from tests.heads.mask_rcnn_network import NETWORK
from tests.heads.mask_rcnn_record import IMAGES, RECORDED, anchor_priorities, bits, objects, tensors
from tests.models.deterministic import sample, sample_error

RULES = mmdet_rules(NETWORK)
LOSSES = {
    "rpn_class_loss": "loss_rpn_cls",
    "rpn_box_loss": "loss_rpn_bbox",
    "class_loss": "loss_cls",
    "box_loss": "loss_bbox",
    "mask_loss": "loss_mask",
}
"""MMDetection's names of the terms of the loss."""

_ROWS = max(len(image.boxes) for image in case.IMAGES)
"""Number of rows of the objects of an image."""

_ROUNDING = 1e-5
"""Distance of a probability from a half at which a pixel may be drawn or not."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Differences from the record, by quantity.

    Attributes:
      values: L2 distances over the norm of what was recorded.
      pixels: Largest distances of the sides of boxes.
      choices: Numbers of other choices: of indices, classes, cells of masks, and their pixels.
    """

    values: dict[str, float]
    pixels: dict[str, float]
    choices: dict[str, int]

    def __or__(self, others: "Differences") -> "Differences":
        """Returns both."""
        return Differences(
            values=self.values | others.values,
            pixels=self.pixels | others.pixels,
            choices=self.choices | others.choices,
        )


def params() -> dict:
    """Returns MMDetection's weights in our tree."""
    target, given = abstract(NETWORK)[1], tensors()
    return naming.from_theirs({name: given[name] for name in naming.expected(RULES, target)}, RULES, target)


def trained() -> Differences:
    """Compares a step of training."""
    priorities = [np.stack([of_image(image) for image in IMAGES]) for of_image in (anchor_priorities, _priorities)]
    found = jax.device_get(_training()(params(), case.batch(), targets(), _mask_targets(), *priorities))
    gradients = naming.to_theirs(found["gradients"], RULES)
    outputs = found["outputs"]
    of_network = Differences(
        values={
            **{f"map.{level}": _of_sample(maps, f"map.{level}") for level, maps in enumerate(found["stages"])},
            **{
                f"{name}.{level}": _distance(values, RECORDED[f"{name}.{level}"])
                for name in ("fpn", "rpn_logits", "rpn_codes")
                for level, values in enumerate(found[name])
            },
            **{name: _distance(found["losses"][name], RECORDED[f"loss.{LOSSES[name]}"]) for name in LOSSES},
            "gradient": _of_sample(found["gradient"], "gradient"),
            **{f"gradient.{name}": _of_sample(value, f"gradient.{name}") for name, value in gradients.items()},
        },
        pixels={},
        choices={},
    )
    of_images = [_anchors(outputs, image) | _proposals(found, image) | _regions(found, image) for image in IMAGES]
    return functools.reduce(Differences.__or__, of_images, of_network)


def tested() -> Differences:
    """Compares a prediction, in pixels of the original images."""
    found = jax.device_get(_inference()(params(), case.batch(), targets()))
    return functools.reduce(Differences.__or__, [_detections(found, image) for image in IMAGES])


def targets() -> ObjectTargets:
    """Returns the objects of the images, whose masks are cut to their boxes."""
    boxes = [_padded(objects(image)) for image in IMAGES]
    labels = [_padded(np.asarray(case.IMAGES[image].labels, np.int32)) for image in IMAGES]
    return ObjectTargets(
        boxes=Boxes(yxyx=jnp.asarray(np.stack(boxes))),
        label=jnp.asarray(np.stack(labels)),
        masks=jnp.asarray(np.stack([_padded(_crops(image)) for image in IMAGES])),
        size=jnp.asarray([image.size for image in case.IMAGES], jnp.int32),
        original_size=jnp.asarray([image.original_size for image in case.IMAGES], jnp.int32),
        image_id=jnp.arange(len(IMAGES), dtype=jnp.int32),
    )


@functools.cache
def _training():
    """Returns the compiled function of (weights, images, targets, MMDetection's targets of masks, both priorities)."""
    graph, task = abstract(NETWORK)[0], Detection(head=NETWORK.head)

    def loss(params, images, targets, mask_targets, anchor_priority, region_priority):
        model = nnx.merge(graph, params)
        head, size = model.head, case.BATCH_SIZE
        stages = head.pyramid(model.backbone, images)
        maps = head.fpn(stages)
        predictions = head.rpn(maps)
        outputs = head.sample(
            maps, targets, image_size=size, anchor_priority=anchor_priority, region_priority=region_priority
        )
        compared = dataclasses.replace(outputs, masks=dataclasses.replace(outputs.masks, target=mask_targets))
        batch = Batch(image=None, is_real=jnp.ones(len(images), bool), targets=targets)
        total, weight = task.loss(compared, Examples(image=images, targets=targets, batch=batch), key=jax.random.key(0))
        positive = outputs.regions.yxyx[:, : mask_targets.shape[1]]
        return total / weight, {
            "stages": stages,
            "fpn": maps,
            "rpn_logits": predictions.logits,
            "rpn_codes": predictions.codes,
            "proposals": head.propose(
                predictions, targets.size, image_size=size, num_before=case.PROPOSALS["train"][0]
            ),
            "outputs": outputs,
            "box_features": head.regions(maps, outputs.regions.yxyx, bins=7),
            "mask_features": head.regions(maps, positive, bins=14),
            "losses": {name: term.value() for name, term in loss_terms(compared, batch.is_real).items()},
        }

    def run(*inputs):
        (gradients, gradient), found = jax.grad(loss, argnums=(0, 1), has_aux=True)(*inputs)
        return {**found, "gradients": gradients, "gradient": gradient}

    return jax.jit(run)


@functools.cache
def _inference():
    """Returns the compiled function of (weights, images, targets)."""
    graph, task = abstract(NETWORK)[0], Detection(head=NETWORK.head)

    def run(params, images, targets):
        found = nnx.merge(graph, params)(images, targets=targets)
        return task.predict(found, Batch(image=None, is_real=jnp.ones(len(images), bool), targets=targets))

    return jax.jit(run)


def _anchors(outputs: SampledOutputs, image: int) -> Differences:
    """Compares the sampled anchors of an image."""
    place, number = _places("rpn", image, anchor_priorities(image))
    recorded = np.concatenate([RECORDED[f"rpn_{kind}.{image}"] for kind in ("positive", "negative")])
    index, is_positive, target = (
        np.asarray(values)[image][place]
        for values in (outputs.anchors.index, outputs.anchors.is_positive, outputs.anchors.target)
    )
    return Differences(
        values={f"rpn_targets.{image}": _distance(target[:number], RECORDED[f"rpn_targets.{image}"])},
        pixels={},
        choices={
            f"anchors.{image}": _count(index, recorded),
            f"anchors of objects.{image}": _count(is_positive, np.arange(len(recorded)) < number),
        },
    )


def _proposals(found: dict, image: int) -> Differences:
    """Compares the proposals of an image in training."""
    proposals, score = found["proposals"], RECORDED[f"train_scores.{image}"]
    number = len(score)
    return Differences(
        values={f"train_scores.{image}": _distance(proposals.score[image][:number], score)},
        pixels={f"train_proposals.{image}": _farthest(proposals.yxyx[image][:number], f"train_proposals.{image}")},
        choices={f"number of proposals.{image}": abs(int(proposals.is_real[image].sum()) - number)},
    )


def _regions(found: dict, image: int) -> Differences:
    """Compares the sampled regions of an image, what the heads make of them and what they are to learn."""
    regions, masks = found["outputs"].regions, found["outputs"].masks
    place, number = _places("box", image, case.priorities("box", image, len(RECORDED[f"box_matched.{image}"])))
    is_own = RECORDED["roi_images"] == image
    labels = RECORDED["class_targets"][is_own]
    is_own_mask = RECORDED["roi_images"][RECORDED["class_targets"] < case.NUM_CLASSES] == image
    codes = RECORDED["box_codes"][is_own][np.arange(number), labels[:number]]
    cells = bits("mask_targets", (len(is_own_mask), 28, 28))[is_own_mask]
    yxyx = regions.yxyx[image][place]
    return Differences(
        values={
            f"{name}.{image}": _distance(ours, recorded)
            for name, ours, recorded in (
                ("class_logits", regions.logits[image][place], RECORDED["class_logits"][is_own]),
                ("box_codes", regions.code[image][place][:number], codes),
                ("box_targets", regions.target[image][place][:number], RECORDED[f"box_targets.{image}"]),
                ("box_features", found["box_features"][image][place][:, ::3, ::3], RECORDED["box_features"][is_own]),
                (
                    "mask_features",
                    found["mask_features"][image][place[:number]][:, ::6, ::6],
                    RECORDED["mask_features"][is_own_mask],
                ),
                ("mask_logits", masks.logits[image][place[:number]], RECORDED["mask_logits"][is_own_mask]),
            )
        },
        pixels={f"regions.{image}": float(np.abs(yxyx - RECORDED["rois"][is_own]).max())},
        choices={
            f"classes.{image}": _count(regions.label[image][place], labels),
            f"cells of masks.{image}": _count(masks.target[image][place[:number]], cells),
        },
    )


def _detections(found: DetectedObjects, image: int) -> Differences:
    """Compares the detections of an image, and their masks in it."""
    probabilities, size = RECORDED[f"probabilities.{image}"], case.IMAGES[image].original_size
    masks = bits(f"masks.{image}", (len(probabilities), *size))
    boxes = found.yxyx[image]
    return Differences(
        values={
            f"scores.{image}": _distance(found.score[image], RECORDED[f"scores.{image}"]),
            f"probabilities.{image}": _distance(found.masks[image], probabilities),
        },
        pixels={f"detections.{image}": _farthest(boxes, f"detections.{image}")},
        choices={
            f"labels.{image}": _count(found.label[image], RECORDED[f"labels.{image}"]),
            f"pixels of masks.{image}": sum(map(_other_pixels, found.masks[image], boxes, masks)),
        },
    )


def _other_pixels(probability: np.ndarray, box: np.ndarray, mask: np.ndarray) -> int:
    """Counts the pixels of a mask that are drawn otherwise, whichever way a probability of a half is rounded."""
    least, most = (paste(probability, box, mask.shape, threshold=0.5 + shift) for shift in (_ROUNDING, -_ROUNDING))
    return _count(mask, np.where(mask, most, least))


def _places(stage: str, image: int, priorities: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns where the recorded sample of an image, in its order, is in ours, and how many of it are of objects."""
    positive, negative = (priorities[RECORDED[f"{stage}_{kind}.{image}"]] for kind in ("positive", "negative"))
    return np.concatenate([_ranks(positive), len(positive) + _ranks(negative)]), len(positive)


def _ranks(numbers: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(numbers, kind="stable"), kind="stable")


def _priorities(image: int) -> np.ndarray:
    """Returns the priorities of the rows of objects and of proposals; padding has none, which 1 says."""
    num_objects, num_candidates = len(objects(image)), len(RECORDED[f"box_matched.{image}"])
    given = case.priorities("box", image, num_candidates)
    found = np.ones(_ROWS + case.PROPOSALS["train"][1], np.float32)
    found[:num_objects] = given[:num_objects]
    found[_ROWS : _ROWS + num_candidates - num_objects] = given[num_objects:]
    return found


def _mask_targets() -> np.ndarray:
    """Returns MMDetection's targets of masks, in the order of our samples."""
    images = RECORDED["roi_images"][RECORDED["class_targets"] < case.NUM_CLASSES]
    recorded = bits("mask_targets", (len(images), 28, 28))
    found = np.zeros((len(IMAGES), NETWORK.head.box.sampling.num_positives, 28, 28), bool)
    for image in IMAGES:
        place, number = _places("box", image, case.priorities("box", image, len(RECORDED[f"box_matched.{image}"])))
        found[image, place[:number]] = recorded[images == image]
    return found


def _padded(values: np.ndarray) -> np.ndarray:
    """Pads an array of objects with zeros."""
    return np.pad(values, [(0, _ROWS - len(values)), *[(0, 0)] * (values.ndim - 1)])


def _crops(image: int) -> np.ndarray:
    """Returns the share of every cell of the objects' boxes that its object covers, uint8 [objects, 112, 112]."""
    masks = case.IMAGES[image].masks().astype(np.float32)
    share = jax.jit(jax.vmap(lambda mask, box: roi_align_adaptive(mask[..., None], box[None], stride=1, bins=112)))
    return np.round(255 * np.asarray(share(masks, objects(image)))[:, 0, ..., 0]).astype(np.uint8)


def _distance(ours: np.ndarray, recorded: np.ndarray) -> float:
    """Computes the L2 distance over the recorded norm."""
    return float(np.linalg.norm(ours - recorded) / np.linalg.norm(recorded))


def _of_sample(ours: np.ndarray, name: str) -> float:
    return sample_error(sample(np.asarray(ours)), RECORDED[name])


def _farthest(boxes: np.ndarray, name: str) -> float:
    return float(np.abs(boxes - RECORDED[name]).max())


def _count(ours: np.ndarray, recorded: np.ndarray) -> int:
    return int(np.sum(ours != recorded))


def main() -> None:
    """Prints a line for each quantity; gradients of weights in one, that of the largest difference."""
    found = trained() | tested()
    weights = {name: error for name, error in found.values.items() if name.startswith("gradient.")}
    others = {name: error for name, error in found.values.items() if name not in weights}
    worst = max(weights, key=weights.__getitem__)
    for name, error in others.items():
        sys.stdout.write(f"{name:28} {error:.1e}\n")
    sys.stdout.write(f"{len(weights)} gradients of weights, at most {weights[worst]:.1e} ({worst})\n")
    for name, error in found.pixels.items():
        sys.stdout.write(f"{name:28} {error:.1e} pixels\n")
    for name, number in found.choices.items():
        sys.stdout.write(f"{name:28} {number} differ\n")


if __name__ == "__main__":
    main()
