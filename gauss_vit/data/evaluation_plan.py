"""Which examples every batch of an evaluation holds, and at what sizes: the same in every process, before any is read.

Where transforms give all images one size, batches follow the order of the source. Where images keep their proportions,
a batch holds images of one size, so that none is padded and each size is compiled once; its masks have the sizes of
their files and lie on canvases of one size. Images with objects are padded instead, to a few sizes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gauss_vit.batches import MaskTargets, ObjectTargets
from gauss_vit.data.buckets import Size, smallest_fits, with_square
from gauss_vit.data.examples import Source
from gauss_vit.data.image_sizes import image_sizes
from gauss_vit.data.images.geometry import require_moves
from gauss_vit.data.images.header import MAX_PIXELS
from gauss_vit.data.images.transforms import Transform, WholeImageTransform
from gauss_vit.data.skips import Skips
from gauss_vit.errors import DataError
from gauss_vit.quantities import counted

CANVAS_MULTIPLE = 64

Shape = tuple[Size, Size | None]
"""Size of the images of a batch and of the canvases of its masks: what is compiled once."""


@dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """The examples of one batch, and its sizes.

    Attributes:
      indices: an example for each row, from the first on; the other rows are padding.
      image_size: (height, width) in pixels of all images.
      canvas: (height, width) in pixels of what masks of the size of their files lie on; None where they have the size
        of the images, or there are none.
    """

    indices: Sequence[int]
    image_size: Size
    canvas: Size | None = None

    @property
    def shape(self) -> Shape:
        """Sizes of its images and canvases."""
        return self.image_size, self.canvas


def plan_batches(
    source: Source,
    *,
    transform: Transform,
    image_size: Size,
    batch_size: int,
    num_threads: int,
    max_pixels: int = MAX_PIXELS,
    buckets: tuple[Size, ...] = (),
    patience: int | None = None,
    skips: Skips | None = None,
) -> tuple[PlannedBatch, ...]:
    """Plans the batches of an evaluation: in order, or for a `WholeImageTransform` by the sizes of all images.

    Args:
      source: the examples; whole images are planned by their headers.
      transform: applied to every image.
      image_size: (height, width) in pixels that the model takes; whole images have their own.
      batch_size: examples in a batch over all processes.
      num_threads: threads that read headers; 0 reads them in the caller.
      max_pixels: larger images are refused by their header.
      buckets: (height, width) in pixels of batches of whole images with objects; without them, that of the model.
      patience: as in `by_size`.
      skips: record of damaged images, which whole images are planned without; without it they are errors.

    Raises:
      DataError: DATA-EMPTY, the source holds nothing; the header of an image cannot be read.
      ConfigError: the transform is for images alone and the targets have masks or boxes.
    """
    if len(source) == 0:
        raise DataError(f"{source!r} holds no images", do="choose another split", code="DATA-EMPTY")
    if isinstance(transform, WholeImageTransform) and isinstance(source.padding_targets, ObjectTargets):
        found = image_sizes(source, num_threads=num_threads, max_pixels=max_pixels, skips=skips)
        known = with_square(buckets) or (image_size,)
        return by_bucket(found, transform=transform, buckets=known, batch_size=batch_size, patience=patience)
    has_masks = isinstance(source.padding_targets, MaskTargets)
    if not (has_masks and isinstance(transform, WholeImageTransform)):
        require_moves((transform,), source.padding_targets)
    if not isinstance(transform, WholeImageTransform):
        return in_order(len(source), image_size=image_size, batch_size=batch_size)
    return by_size(
        image_sizes(source, num_threads=num_threads, max_pixels=max_pixels, skips=skips),
        transform=transform,
        batch_size=batch_size,
        has_masks=has_masks,
        patience=patience,
    )


def in_order(num_examples: int, *, image_size: Size, batch_size: int) -> tuple[PlannedBatch, ...]:
    """Plans batches of images of one size, in the order of the source."""
    starts = range(0, num_examples, batch_size)
    return tuple(
        PlannedBatch(indices=range(start, min(start + batch_size, num_examples)), image_size=image_size)
        for start in starts
    )


def by_size(
    sizes: Mapping[int, Size],
    *,
    transform: WholeImageTransform,
    batch_size: int,
    has_masks: bool,
    patience: int | None = None,
) -> tuple[PlannedBatch, ...]:
    """Plans batches of images that are equally large after the transform.

    Each example joins the batch of its size that is not full. Full batches come in the order in which they become full,
    the others at the end.

    Args:
      sizes: size of each image before the transform, by its index, in ascending order.
      transform: gives each image its size.
      batch_size: most examples of a batch.
      has_masks: whether masks keep the sizes of the files, and so need a canvas.
      patience: how many examples after its first one a batch waits for others of its size; None is until all have been
        seen. With it, what is read follows the order of the source, within so many examples.
    """

    def shape_of(size: Size) -> Shape:
        return transform.size_of(size), canvas_of(size) if has_masks else None

    shapes = {index: shape_of(size) for index, size in sizes.items()}
    return tuple(_grouped(shapes, batch_size=batch_size, patience=patience))


def by_bucket(
    sizes: Mapping[int, Size],
    *,
    transform: WholeImageTransform,
    buckets: Sequence[Size],
    batch_size: int,
    patience: int | None = None,
) -> tuple[PlannedBatch, ...]:
    """Plans batches of images that fit the same bucket after the transform, in the order of `by_size`.

    Args:
      sizes: size of each image before the transform, by its index, in ascending order.
      transform: gives each image its size.
      buckets: sizes of batches, from the smallest to the largest area.
      batch_size: most examples of a batch.
      patience: as in `by_size`.

    Raises:
      ConfigError: an image fits no bucket.
    """
    resized = np.asarray([transform.size_of(size) for size in sizes.values()], np.int64).reshape(-1, 2)
    chosen = smallest_fits(resized, buckets).tolist()
    shapes: dict[int, Shape] = {index: (buckets[place], None) for index, place in zip(sizes, chosen, strict=True)}
    return tuple(_grouped(shapes, batch_size=batch_size, patience=patience))


def _grouped(shapes: Mapping[int, Shape], *, batch_size: int, patience: int | None) -> Iterator[PlannedBatch]:
    """Yields batches of examples of one shape, given by their indices in ascending order."""
    waiting: dict[Shape, list[int]] = {}

    def close(shape: Shape) -> PlannedBatch:
        return PlannedBatch(indices=tuple(waiting.pop(shape)), image_size=shape[0], canvas=shape[1])

    for index, shape in shapes.items():
        waiting.setdefault(shape, []).append(index)
        if len(waiting[shape]) == batch_size:
            yield close(shape)
        if patience is not None:
            overdue = [old for old, members in waiting.items() if index - members[0] >= patience]
            yield from map(close, overdue)
    yield from map(close, tuple(waiting))


def canvas_of(size: Size) -> Size:
    """Computes the canvas for a mask of that size: both sides rounded up to a multiple of 64.

    >>> canvas_of((512, 683))
    (512, 704)
    """
    height, width = size
    return height + -height % CANVAS_MULTIPLE, width + -width % CANVAS_MULTIPLE


def describe(batches: Sequence[PlannedBatch]) -> str:
    """Says how many shapes the batches have, each of which is compiled.

    >>> describe(in_order(5, image_size=(32, 32), batch_size=2))
    '5 images in 3 batches of 1 shape, each compiled once'
    """
    num_images, num_shapes = sum(len(batch.indices) for batch in batches), len({batch.shape for batch in batches})
    images, shapes = counted(num_images, "image"), counted(num_shapes, "shape")
    return f"{images} in {counted(len(batches), 'batch', 'batches')} of {shapes}, each compiled once"
