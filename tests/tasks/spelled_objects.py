"""Drawn rectangles that spell in their colours what a detector is to find, and one that reads them.

An image of 12 x 16 pixels is of a file that is twice as high and three times as wide, in a batch whose images are 16 x
16. Red tells the object, green the score and blue the class.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.annotations import Annotations
from gauss_vit.batches import Batch, Boxes, ObjectTargets
from gauss_vit.heads.detections import FoundObjects
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.ops.detection.selection import Detections
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.coco_measure import CocoCollector, CocoMeasure
from gauss_vit.tasks.detection import Detection
from gauss_vit.train import mesh as meshes
from gauss_vit.train.evaluation import evaluate, pad
from gauss_vit.train.step import Forward, make_eval_step
from tests.tasks.shapes import HeadAlone

SIZE, PADDED, FACTOR = (12, 16), (16, 16), (2, 3)
NUM_OBJECTS, NUM_CLASSES, NUM_IMAGES = 3, 3, 21
CATEGORY_IDS = (7, 9, 40)
_STEP = 60
_NORMALIZATION = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpellingHead:
    """Reads objects off the pixels; it has no use for a backbone."""

    num_classes: int | None = NUM_CLASSES
    has_masks: bool = True

    def make(self, backbone: BackboneConfig | None, *, key: PRNGKeyArray) -> "Spelling":
        del backbone, key
        return Spelling(has_masks=self.has_masks)


class Spelling(nnx.Module):
    """Finds every rectangle, and shifts it to the right by `shift` pixels."""

    def __init__(self, *, has_masks: bool):
        self.shift = nnx.Param(jnp.zeros((), jnp.float32))
        self.has_masks = has_masks

    def __call__(
        self,
        backbone: Backbone | None,
        images: Float[Array, "batch height width 3"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> FoundObjects:
        """Finds the objects of normalised images, those of the highest score first."""
        del backbone, key
        values = jnp.round(images * 255)
        objects = jnp.arange(1, NUM_OBJECTS + 1, dtype=jnp.float32) * _STEP
        covered = values[:, None, :, :, 0] == objects[None, :, None, None]
        (top, bottom), (left, right) = (_extent(jnp.any(covered, axis=axis)) for axis in (3, 2))
        yxyx = jnp.stack([top, left + self.shift[...], bottom, right + self.shift[...]], axis=-1)
        score, label = (jnp.max(jnp.where(covered, values[:, None, ..., at], 0), axis=(2, 3)) for at in (1, 2))
        is_real = jnp.any(covered, axis=(2, 3))
        order = jnp.argsort(-jnp.where(is_real, score, -1), axis=1, stable=True)
        yxyx, score, label, is_real = (
            jnp.take_along_axis(each, order.reshape(*order.shape, *(1,) * (each.ndim - 2)), axis=1)
            for each in (yxyx, score, label, is_real)
        )
        found = Detections(
            yxyx=jnp.where(is_real[..., None], yxyx, 0),
            score=jnp.where(is_real, score / 255, 0),
            label=jnp.where(is_real, label, 0).astype(jnp.int32),
            is_real=is_real,
            num_dropped=jnp.ones(len(images), jnp.int32),
        )
        return FoundObjects(objects=found, masks=jnp.ones((*label.shape, 4, 4)) if self.has_masks else None)


def _extent(is_covered: Array) -> tuple[Array, Array]:
    """Where the first covered line begins, and the last one ends."""
    lines = jnp.arange(is_covered.shape[-1], dtype=jnp.float32)[None, None, :]
    return jnp.min(jnp.where(is_covered, lines, 99), axis=-1), jnp.max(jnp.where(is_covered, lines + 1, 0), axis=-1)


TASK = Detection(head=SpellingHead())


def draw(seed: int, count: int = NUM_IMAGES) -> Batch:
    """Draws images; where one rectangle hides another there are fewer objects."""
    random = np.random.default_rng(seed)
    image = np.zeros((count, *PADDED, 3), np.uint8)
    for row in range(count):
        for number in range(1, NUM_OBJECTS + 1):
            sides = random.integers(3, 8, 2)
            top, left = random.integers(0, np.subtract(SIZE, sides) + 1)
            colour = (number * _STEP, random.integers(60, 256), random.integers(NUM_CLASSES))
            image[row, top : top + sides[0], left : left + sides[1]] = colour
    size, original = np.asarray(SIZE, np.int32), np.multiply(SIZE, FACTOR).astype(np.int32)
    targets = ObjectTargets(
        boxes=Boxes(yxyx=np.zeros((count, 2, 4), np.float32)),
        label=np.zeros((count, 2), np.int32),
        masks=np.zeros((count, 2, 1, 1), np.uint8),
        size=np.tile(size, (count, 1)),
        original_size=np.tile(original, (count, 1)),
        image_id=np.arange(100, 100 + count, dtype=np.int32),
    )
    return Batch(image=image, is_real=np.ones(count, bool), targets=targets)


def batches(seed: int, *, batch_size: int, count: int = NUM_IMAGES) -> Iterator[Batch]:
    """Cuts drawn images into batches, the last one short."""
    whole = draw(seed, count)
    for start in range(0, count, batch_size):
        yield jax.tree.map(lambda leaf, start=start: leaf[start : start + batch_size], whole)


@dataclasses.dataclass(frozen=True)
class SpelledSource:
    """The annotations of drawn images, of what can be seen of each rectangle."""

    seed: int
    count: int = NUM_IMAGES
    has_masks: bool = True
    crowds: frozenset[int] = frozenset()

    def truth(self) -> Annotations:
        """Lists the rectangles in pixels of the files; those of `crowds`, by their number, are crowds."""
        drawn, annotations = draw(self.seed, self.count), []
        down, across = FACTOR
        for image_id, image in zip(drawn.targets.image_id.tolist(), drawn.image, strict=True):
            for number in range(1, NUM_OBJECTS + 1):
                rows, columns = np.nonzero(image[..., 0] == number * _STEP)
                if not rows.size:
                    continue
                y0, x0 = int(rows.min()) * down, int(columns.min()) * across
                y1, x1 = int(rows.max() + 1) * down, int(columns.max() + 1) * across
                outline = {"segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]} if self.has_masks else {}
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": CATEGORY_IDS[int(image[rows[0], columns[0], 2])],
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": int(len(annotations) + 1 in self.crowds),
                        **outline,
                    }
                )
        height, width = drawn.targets.original_size[0].tolist()
        images = [{"id": each, "height": height, "width": width} for each in drawn.targets.image_id.tolist()]
        categories = [{"id": each, "name": f"class {each}"} for each in CATEGORY_IDS]
        return {"images": images, "categories": categories, "annotations": annotations}


def measured(
    source: SpelledSource, *, num_devices: int = 1, batch_size: int = 8, shift: float = 0.0, task: Detection = TASK
) -> CocoCollector:
    """Evaluates drawn images on so many devices of all processes, which read their rows of every batch."""
    graph, state = nnx.split(HeadAlone(task.head.make(None, key=jax.random.key(0))))
    mesh = meshes.make(meshes.MeshConfig(data=num_devices), jax.devices()[:num_devices])
    params = nnx.to_pure_dict(state) | {"head": {"shift": jnp.asarray(shift, jnp.float32)}}
    params = jax.device_put(params, meshes.tree_shardings(mesh, params))
    share, measure = meshes.share_of_process(mesh), CocoMeasure()
    rows, collector = batch_size // share.count, measure.collector(source)
    evaluate(
        make_eval_step(
            Forward(graph=graph, task=task, normalization=_NORMALIZATION), mesh=mesh, params=params, measure=measure
        ),
        params,
        (
            jax.tree.map(lambda leaf: leaf[share.index * rows :][:rows], pad(batch, batch_size))
            for batch in batches(source.seed, batch_size=batch_size, count=source.count)
        ),
        collector=collector,
        mesh=mesh,
        batch_size=batch_size,
        should_stop=lambda: False,
    )
    return collector
