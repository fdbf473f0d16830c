"""Reads every image of a split: what cannot be decoded, what masks hold, and a hash of all bytes and labels."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import numpy as np

from gauss_vit.data.examples import Source
from gauss_vit.data.images import image as images
from gauss_vit.data.images.object_targets import AnnotatedObjects, require_size
from gauss_vit.data.mask_counts import NO_MASKS, MaskCounts, count_targets
from gauss_vit.errors import DataError
from gauss_vit.quantities import counted

_AT_ONCE = 256
_NUM_KEPT = 1000


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the images of a split are.

    Attributes:
      num_examples: number of images.
      num_damaged: number of images that cannot be read or decoded.
      damaged: what is wrong with them, or with the first thousand.
      digest: sixteen hexadecimal digits that depend on every byte and label, and their order.
      masks: what the masks of the others hold; none where they have none.
    """

    num_examples: int
    num_damaged: int
    damaged: tuple[str, ...]
    digest: str
    masks: MaskCounts = NO_MASKS

    def __str__(self) -> str:
        return f"{counted(self.num_examples, 'image')} decoded, {self.num_damaged:,} damaged, contents {self.digest}"


def read_contents(
    source: Source, *, max_pixels: int, num_threads: int, report: Callable[[int], None] = lambda num_read: None
) -> Contents:
    """Reads, decodes and hashes every example.

    Args:
      source: the examples.
      max_pixels: larger images count as damaged.
      num_threads: threads that read and decode; 0 reads in the caller. It does not change the result.
      report: called with the number of examples that were read, every few hundred.
    """
    state, damaged, num_damaged, masks = hashlib.sha256(), [], 0, NO_MASKS

    def read(index: int) -> _Reading:
        return _read(source, index, max_pixels=max_pixels)

    with ThreadPoolExecutor(max(1, num_threads)) as pool:
        for start in range(0, len(source), _AT_ONCE):
            indices = range(start, min(start + _AT_ONCE, len(source)))
            for reading in pool.map(read, indices) if num_threads else map(read, indices):
                state.update(reading.digest)
                masks += reading.masks
                num_damaged += bool(reading.problem)
                damaged += [reading.problem] if reading.problem and len(damaged) < _NUM_KEPT else []
            report(indices.stop)
    return Contents(
        num_examples=len(source),
        num_damaged=num_damaged,
        damaged=tuple(damaged),
        digest=state.hexdigest()[:16],
        masks=masks,
    )


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One example: its hash, what is wrong with it, if anything, and what its mask holds, if it has one."""

    digest: bytes
    problem: str = ""
    masks: MaskCounts = NO_MASKS


def _read(source: Source, index: int, *, max_pixels: int) -> _Reading:
    """Reads, decodes and hashes an example."""
    try:
        example = source[index]
        image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
        if isinstance(example.targets, AnnotatedObjects):
            require_size(example.targets, (image.height, image.width), name=example.name)
    except DataError as error:
        return _Reading(digest=b"damaged", problem=error.message)
    state = hashlib.sha256(example.image)
    for leaf in jax.tree.leaves(example.targets):
        state.update(np.asarray(leaf).tobytes())
    return _Reading(digest=state.digest(), masks=count_targets(example.targets))
