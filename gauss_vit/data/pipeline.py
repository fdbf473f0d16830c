"""Sources to batches: a batch is a pure function of (seed, step), so a run resumes at any step on any number of hosts.

There is no iterator state. The stream of training examples is a row of epochs, each a permutation of the source, cut
into batches without regard to where epochs end; slot b of step s is position s * batch_size + b of it. So the batch of
a step is the same whatever the start step, the number of threads and, once their shares are joined, of processes.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grain
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gauss_vit.batches import ClassificationBatch
from gauss_vit.data import image as images
from gauss_vit.data import randomness
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.skips import Skips
from gauss_vit.data.transforms import ArrayTransform, RandomResizedCrop, Transform
from gauss_vit.errors import ConfigError, DataError, UserError

ORDER_STREAM, AUGMENT_STREAM = 0, 1
BUFFERED_BATCHES = 2


@dataclass(frozen=True, kw_only=True)
class Share:
    """The slots of every batch that one process fills: equal, contiguous parts in the order of the processes.

    Attributes:
      batch_size: examples in a batch over all processes.
      process_index: which part.
      process_count: how many parts.
    """

    batch_size: int
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self):
        """Checks that the parts are equal.

        Raises:
          ConfigError: the batch is empty or does not divide.
        """
        if self.batch_size < 1 or self.batch_size % self.process_count:
            nearest = max(1, round(self.batch_size / self.process_count)) * self.process_count
            message = f"batch size {self.batch_size} does not divide among {self.process_count} processes"
            raise ConfigError(message, do=f"choose a multiple such as {nearest}")
        if not 0 <= self.process_index < self.process_count:
            raise ConfigError(f"process_index {self.process_index} is not in 0..{self.process_count - 1}")

    @property
    def size(self) -> int:
        """How many slots this process fills."""
        return self.batch_size // self.process_count

    def position(self, slot: int, step: int) -> int:
        """Where in the stream this process's slot of a step is."""
        return step * self.batch_size + self.process_index * self.size + slot


def epoch_and_index(position: int, *, num_examples: int, seed: int) -> tuple[int, int]:
    """Which pass over the source, and which example of it, is at a position of the training stream."""
    epoch, place = divmod(position, num_examples)
    key = randomness.fold(seed, ORDER_STREAM, epoch)
    return epoch, randomness.permute(place, size=num_examples, key=key)


def batch_indices(num_examples: int, *, seed: int, step: int, share: Share) -> tuple[int, ...]:
    """The examples of a training step, in the order of the slots."""
    positions = (share.position(slot, step) for slot in range(share.size))
    return tuple(epoch_and_index(position, num_examples=num_examples, seed=seed)[1] for position in positions)


def batch_digest(source: Source, *, seed: int, step: int, batch_size: int) -> str:
    """A short proof of which examples a step sees, to be kept with a checkpoint and compared on resume.

    Sixteen hexadecimal digits that depend on the source, the seed and the examples of the step, not on how many
    processes or threads read them.
    """
    indices = batch_indices(len(source), seed=seed, step=step, share=Share(batch_size=batch_size))
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
    skips: Skips | None = None,
) -> Iterator[ClassificationBatch]:
    """Shuffled and augmented NumPy batches, one a step; every example comes once an epoch.

    Args:
      source: what to learn from.
      transforms: applied in order to every image.
      image_size: (height, width) in pixels that the model takes.
      batch_size: examples in a batch over all processes.
      seed: of order and augmentation.
      start_step: the first step to give a batch for; the last is num_steps - 1.
      num_steps: the step to stop before.
      num_threads: threads that read and decode; 0 decodes in the caller.
      process_index, process_count: which of how many equal shares of every batch to give.
      max_pixels: larger images are refused by their header.
      skips: takes damaged images, whose places are then padding; without it they are errors.

    Raises:
      DataError: DATA-SMALL, the source does not fill a batch; from the iterator, an image that cannot be read, or
        DATA-SKIPPED, too many.
      ConfigError: the batch does not divide among the processes.
    """
    share = Share(batch_size=batch_size, process_index=process_index, process_count=process_count)
    _require_full_batch(source, batch_size)

    def load(slot: int, step: int) -> ClassificationBatch:
        epoch, index = epoch_and_index(share.position(slot, step), num_examples=len(source), seed=seed)
        key = randomness.fold(seed, AUGMENT_STREAM, epoch, index)
        try:
            example = source[index]
            image = render(example, transforms=transforms, image_size=image_size, key=key, max_pixels=max_pixels)
        except DataError as error:
            if skips is None:
                raise
            skips.take(index, error)
            return _padding(image_size)
        return _single(example, image)

    return _batches(load, share=share, steps=range(start_step, num_steps), num_threads=num_threads)


def _require_full_batch(source: Source, batch_size: int) -> None:
    """Refuses a source with fewer examples than one batch.

    Raises:
      DataError: DATA-SMALL.
    """
    if len(source) < batch_size:
        message = f"{source!r}: {len(source)} images do not fill a batch of {batch_size}"
        raise DataError(message, do=f"choose a batch size of at most {len(source)}", code="DATA-SMALL")


def num_eval_batches(num_examples: int, *, batch_size: int) -> int:
    """How many batches hold all examples, the last one padded."""
    return -(-num_examples // batch_size)


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
) -> Iterator[ClassificationBatch]:
    """All examples once and in order, as NumPy batches; the last is filled up with padding, where is_real is False.

    Args:
      source: what to measure on.
      transform: applied to every image.
      image_size: (height, width) in pixels that the model takes.
      batch_size: examples in a batch over all processes.
      num_threads: threads that read and decode; 0 decodes in the caller.
      process_index, process_count: which of how many equal shares to give; all processes get equally many batches.
      max_pixels: larger images are refused by their header.

    Raises:
      DataError: DATA-EMPTY, the source holds nothing; from the iterator, an image that cannot be read.
      ConfigError: the batch does not divide among the processes.
    """
    share = Share(batch_size=batch_size, process_index=process_index, process_count=process_count)
    num_examples = len(source)
    if num_examples == 0:
        raise DataError(f"{source!r} holds no images", do="choose another split", code="DATA-EMPTY")
    padding = _padding(image_size)

    def load(slot: int, step: int) -> ClassificationBatch:
        index = share.position(slot, step)
        if index >= num_examples:
            return padding
        example = source[index]
        image = render(example, transforms=(transform,), image_size=image_size, key=0, max_pixels=max_pixels)
        return _single(example, image)

    steps = range(num_eval_batches(num_examples, batch_size=batch_size))
    return _batches(load, share=share, steps=steps, num_threads=num_threads)


def render(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    key: int,
    max_pixels: int = images.MAX_PIXELS,
) -> UInt8[np.ndarray, "height width 3"]:
    """Decodes an example's image and applies the transforms, each with random numbers of its own.

    Raises:
      DataError: the image cannot be read or transformed; the example is named.
      ConfigError: the transforms do not end at `image_size`, or a library that they need is missing.
    """
    keys = [randomness.fold(key, place) for place in range(len(transforms))]
    crop = transforms[0] if transforms and isinstance(transforms[0], RandomResizedCrop) else None
    try:
        if crop is None:
            image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
        else:
            image = _cropped(example, crop=crop, image_size=image_size, key=keys[0], max_pixels=max_pixels)
        for place in range(0 if crop is None else 1, len(transforms)):
            image = _applied(transforms[place], image, image_size=image_size, key=keys[place])
    except UserError:
        raise
    except ValueError as error:
        raise DataError(f"{example.name}: {error}", do="remove it", code="DATA-DECODE") from error
    pixels = np.asarray(image, np.uint8)
    if pixels.shape[:2] != image_size:
        height, width, _ = pixels.shape
        message = f"the transforms made {height} x {width} px of {example.name}, not {image_size}"
        raise ConfigError(message, do="begin data.train_transforms with Resize() or ResizeCenterCrop()")
    return pixels


def _cropped(
    example: Example, *, crop: RandomResizedCrop, image_size: tuple[int, int], key: int, max_pixels: int
) -> Image.Image | UInt8[np.ndarray, "height width 3"]:
    """A crop that comes first, cut while decoding, so that the rest of the image need not be converted.

    Returns:
      An array where the resampler takes and gives one, so that no pixel is copied into an image and out again.
    """
    box_of = functools.partial(crop.box, key=key)
    if crop.resampler == "simd":
        pixels = images.decode_array(example.image, name=example.name, max_pixels=max_pixels, box_of=box_of)
        return crop.resized_array(pixels, size=image_size, key=key)
    image = images.decode(example.image, name=example.name, max_pixels=max_pixels, box_of=box_of)
    return crop.resized(image, size=image_size, key=key)


def _applied(
    transform: Transform,
    image: Image.Image | UInt8[np.ndarray, "height width 3"],
    *,
    image_size: tuple[int, int],
    key: int,
) -> Image.Image | UInt8[np.ndarray, "new_height new_width 3"]:
    """Applies one transform; an array stays one until a transform that takes images only."""
    if not isinstance(image, np.ndarray):
        return transform(image, size=image_size, key=key)
    if isinstance(transform, ArrayTransform):
        return transform.of_array(image, size=image_size, key=key)
    return transform(Image.fromarray(image), size=image_size, key=key)


def _single(example: Example, image: UInt8[np.ndarray, "height width 3"]) -> ClassificationBatch:
    """A batch element: arrays without the batch axis."""
    return ClassificationBatch(image=image, label=np.int32(example.label), is_real=np.bool_(True))


def _padding(image_size: tuple[int, int]) -> ClassificationBatch:
    """The batch element that stands where there is no example."""
    return ClassificationBatch(image=np.zeros((*image_size, 3), np.uint8), label=np.int32(0), is_real=np.bool_(False))


def _batches(
    load: Callable[[int, int], ClassificationBatch], *, share: Share, steps: range, num_threads: int
) -> Iterator[ClassificationBatch]:
    """Loads the elements of the steps with threads, ahead of time, and stacks them in order.

    Threads work on single elements, not on batches: the first batch comes sooner and less is held in memory.

    Args:
      load: (slot, step) to a batch element.
      share: how many slots.
      steps: in this order.
      num_threads: 0 loads in the caller.
    """

    def element(place: int) -> ClassificationBatch:
        step, slot = divmod(place, share.size)
        return load(slot, steps[step])

    buffered = max(num_threads, BUFFERED_BATCHES * share.size) if num_threads else 0
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=buffered)
    elements = grain.MapDataset.range(len(steps) * share.size).map(element).to_iter_dataset(options)
    return iter(elements.batch(share.size, drop_remainder=True, batch_fn=_stack))


def _stack(elements: Sequence[ClassificationBatch]) -> ClassificationBatch:
    """Puts elements into one batch, in their order."""
    return ClassificationBatch(
        image=np.stack([element.image for element in elements]),
        label=np.stack([element.label for element in elements]),
        is_real=np.stack([element.is_real for element in elements]),
    )
