"""Makes batches of sources: a batch is a pure function of (seed, step), so a run resumes at any step on any hosts.

There is no iterator state. The stream of training examples is a sequence of epochs, each a permutation of the source,
cut into batches without regard to where epochs end; slot b of step s is position s * batch_size + b of it. So the batch
of a step does not depend on the start step, the number of threads and, once their shares are joined, of processes.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.batches import Batch, ObjectTargets
from gauss_vit.data.batching import UnfilledBatch, fill_batches, padding
from gauss_vit.data.bucket_plan import BucketPlan
from gauss_vit.data.buckets import with_square
from gauss_vit.data.evaluation_plan import PlannedBatch, plan_batches
from gauss_vit.data.example_stream import Order, Share, StreamOrder, augmentation_keys
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.images import image as images
from gauss_vit.data.images.geometry import blank_canvas, on_canvas, require_moves, sized
from gauss_vit.data.images.object_targets import AnnotatedObjects
from gauss_vit.data.images.preprocess import View, preprocess_for_evaluation, preprocess_unflipped, preprocess_whole
from gauss_vit.data.images.preprocess_objects import preprocess_learned, preprocess_measured
from gauss_vit.data.images.transforms import RandomFlip, Transform, WholeImageTransform
from gauss_vit.data.skips import Skips
from gauss_vit.errors import DataError


def train_order(
    source: Source,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    batch_size: int,
    seed: int,
    buckets: tuple[tuple[int, int], ...] = (),
    max_pixels: int = images.MAX_PIXELS,
) -> Order:
    """Returns which examples every batch of `train_batches` holds; arguments as there."""
    if not buckets:
        return StreamOrder(num_examples=len(source), seed=seed, image_size=image_size)
    return BucketPlan(
        source,
        transforms=transforms,
        image_size=image_size,
        buckets=with_square(buckets),
        batch_size=batch_size,
        seed=seed,
        max_pixels=max_pixels,
    )


def batch_digest(source: Source, order: Order, *, seed: int, step: int, batch_size: int) -> str:
    """Hashes the examples of a step, to be kept with a checkpoint and compared on resume.

    Sixteen hexadecimal digits that depend on the source, the seed and the examples of the step, not on how many
    processes or threads read them.
    """
    indices = tuple(order.slots(step, Share(batch_size=batch_size)).indices.tolist())
    text = f"{source!r} {seed} {step} {indices}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def train_batches(
    source: Source,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    batch_size: int,
    seed: int,
    start_step: int,
    num_steps: int,
    num_threads: int,
    process_index: int = 0,
    process_count: int = 1,
    max_pixels: int = images.MAX_PIXELS,
    buckets: tuple[tuple[int, int], ...] = (),
    skips: Skips | None = None,
) -> Iterator[Batch]:
    """Yields shuffled and augmented NumPy batches, one a step; every example appears once an epoch.

    Flips are named in the batch and left to the device where they can be (`gauss_vit.data.images.preprocess`).

    Args:
      source: training examples.
      transforms: applied in order to every image.
      image_size: (height, width) in pixels that the model takes, and of all batches where there are no buckets.
      batch_size: examples in a batch over all processes.
      seed: seed of order and augmentation.
      start_step: step of the first batch.
      num_steps: step to stop before.
      num_threads: threads that read and decode; 0 decodes in the caller.
      process_index, process_count: the share of every batch that this process fills.
      max_pixels: larger images are refused by their header.
      buckets: (height, width) in pixels of batches of images of many sizes, which are padded at the bottom and on the
        right (`gauss_vit.data.bucket_plan`).
      skips: record of damaged images, whose slots are then padding; without it they are errors.

    Raises:
      DataError: DATA-SMALL, the source does not fill a batch; from the iterator, an image that cannot be read, or
        DATA-SKIPPED, too many.
      ConfigError: the batch does not divide among the processes, or a transform is for images alone and the targets
        have masks or boxes.
    """
    share = Share(batch_size=batch_size, process_index=process_index, process_count=process_count)
    require_full_batch(source, batch_size)
    require_moves(transforms, source.padding_targets)
    order = train_order(
        source,
        transforms=transforms,
        image_size=image_size,
        batch_size=batch_size,
        seed=seed,
        buckets=buckets,
        max_pixels=max_pixels,
    )
    may_flip = _may_flip(transforms, source)

    def allocate(step: int) -> UnfilledBatch:
        # Drawn for all slots at once: one by one, and under Python's lock, this would take 60 us an image.
        held = order.slots(step, share)
        places, keys = held.indices.tolist(), augmentation_keys(held.epochs, held.indices, seed=seed)
        targets = sized(source.padding_targets, held.image_size)
        batch = padding(share.size, held.image_size, targets=targets, may_flip=may_flip)
        learn = functools.partial(
            _learned, transforms=transforms, image_size=image_size, padded_size=held.image_size, max_pixels=max_pixels
        )

        def fill(slot: int) -> None:
            try:
                view = learn(source[places[slot]], key=keys[slot])
            except DataError as error:
                _skip(skips, places[slot], error)
            else:
                _put(batch, slot, view)

        return UnfilledBatch(batch=batch, fill=fill)

    return fill_batches(allocate, steps=range(start_step, num_steps), num_slots=share.size, num_threads=num_threads)


def _learned(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    padded_size: tuple[int, int],
    key: int,
    max_pixels: int,
) -> View:
    """Prepares an example to learn from.

    Raises:
      DataError: it cannot be read.
    """
    if isinstance(example.targets, AnnotatedObjects):
        return preprocess_learned(
            example,
            transforms=transforms,
            image_size=image_size,
            padded_size=padded_size,
            key=key,
            max_pixels=max_pixels,
        )
    return preprocess_unflipped(example, transforms=transforms, image_size=image_size, key=key, max_pixels=max_pixels)


def train_shapes(
    source: Source,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    batch_size: int,
    buckets: tuple[tuple[int, int], ...] = (),
) -> tuple[Batch, ...]:
    """Returns the shapes of the batches of `train_batches`, the smallest image first; nothing is read."""
    may_flip = _may_flip(transforms, source)

    def shapes(size: tuple[int, int]) -> Batch:
        one = padding(1, size, targets=sized(source.padding_targets, size), may_flip=may_flip)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[1:]), leaf.dtype), one)

    return tuple(map(shapes, with_square(buckets) or (image_size,)))


def require_full_batch(source: Source, batch_size: int) -> None:
    """Checks that a source fills a batch.

    Raises:
      DataError: DATA-SMALL.
    """
    if len(source) < batch_size:
        message = f"the {len(source)} images of the training split do not fill a batch of {batch_size}"
        raise DataError(message, do=f"set training.batch_size to at most {len(source)}", code="DATA-SMALL")


def eval_batches(
    source: Source,
    *,
    transform: Transform,
    image_size: tuple[int, int],
    batch_size: int,
    num_threads: int,
    process_index: int = 0,
    process_count: int = 1,
    max_pixels: int = images.MAX_PIXELS,
    buckets: tuple[tuple[int, int], ...] = (),
    skips: Skips | None = None,
    plan: Sequence[PlannedBatch] | None = None,
) -> Iterator[Batch]:
    """Yields all examples once, as NumPy batches in the order of the plan; where one is not full, is_real is False.

    Args:
      source: evaluation examples.
      transform: applied to every image.
      image_size: (height, width) in pixels that the model takes; whole images have their own.
      batch_size: examples in a batch over all processes.
      num_threads: threads that read and decode; 0 decodes in the caller.
      process_index, process_count: the share of every batch that this process fills; all get the same number of
        batches, of the same shapes.
      max_pixels: larger images are refused by their header.
      buckets: (height, width) in pixels of batches of whole images with objects, which are padded.
      skips: record of damaged images, whose slots are then padding; without it they are errors.
      plan: that of `evaluation_plan.plan_batches` for the same arguments; None makes it.

    Raises:
      DataError: DATA-EMPTY, the source holds nothing; from the iterator, an image that cannot be read.
      ConfigError: the batch does not divide among the processes, or a transform is for images alone and the targets
        have masks or boxes.
    """
    share = Share(batch_size=batch_size, process_index=process_index, process_count=process_count)
    batches = plan
    if batches is None:
        batches = plan_batches(
            source,
            transform=transform,
            image_size=image_size,
            batch_size=batch_size,
            num_threads=num_threads,
            max_pixels=max_pixels,
            buckets=buckets,
            skips=skips,
        )

    def allocate(step: int) -> UnfilledBatch:
        planned = batches[step]
        rows = planned.indices[process_index * share.size : (process_index + 1) * share.size]
        batch = padding(share.size, planned.image_size, targets=_padding_targets(source, planned))

        def fill(slot: int) -> None:
            if slot >= len(rows):
                return
            try:
                view = _evaluated(source[rows[slot]], planned, transform=transform, max_pixels=max_pixels)
            except DataError as error:
                _skip(skips, rows[slot], error)
            else:
                _put(batch, slot, view)

        return UnfilledBatch(batch=batch, fill=fill)

    return fill_batches(allocate, steps=range(len(batches)), num_slots=share.size, num_threads=num_threads)


def _padding_targets(source: Source, planned: PlannedBatch) -> PyTree:
    """The targets of a slot of a planned batch that no example fills."""
    if planned.canvas is None:
        return sized(source.padding_targets, planned.image_size)
    return blank_canvas(source.padding_targets, planned.canvas)


def _evaluated(example: Example, planned: PlannedBatch, *, transform: Transform, max_pixels: int) -> View:
    """Prepares an example as its batch is planned.

    Raises:
      DataError: it cannot be read.
    """
    is_whole = isinstance(transform, WholeImageTransform)
    if isinstance(example.targets, AnnotatedObjects):
        sizes = {"image_size": planned.image_size, "padded_size": planned.image_size}
        if is_whole:
            return preprocess_measured(example, transform=transform, max_pixels=max_pixels, **sizes)
        # Images at the model's size are looked at, not measured, and what is in them is drawn.
        return preprocess_learned(example, transforms=(transform,), key=0, max_pixels=max_pixels, **sizes)
    prepare = preprocess_whole if is_whole else preprocess_for_evaluation
    view = prepare(example, transform=transform, image_size=planned.image_size, max_pixels=max_pixels)
    if planned.canvas is None:
        return view
    return dataclasses.replace(view, targets=on_canvas(view.targets, planned.canvas))


def _may_flip(transforms: tuple[Transform, ...], source: Source) -> bool:
    """Whether flips are left to the device; those of images with objects are not."""
    is_padded = isinstance(source.padding_targets, ObjectTargets)
    return not is_padded and any(type(transform) is RandomFlip for transform in transforms)


def _skip(skips: Skips | None, index: int, error: DataError) -> None:
    """Records that an example cannot be read, or raises the error if none may be skipped."""
    if skips is None:
        raise error
    skips.take(index, error)


def _put(batch: Batch, slot: int, view: View) -> None:
    """Writes an example into a slot of a batch; an image that is smaller than the batch into its top left corner."""

    def write(column: np.ndarray, value: np.generic | np.ndarray) -> None:
        column[slot] = value

    height, width, _ = view.pixels.shape
    batch.image[slot, :height, :width] = view.pixels
    jax.tree.map(write, batch.targets, view.targets)
    batch.is_real[slot] = True
    if view.is_flipped:
        batch.is_flipped[slot] = True
