"""The sizes of all images of a source, from their headers."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gauss_vit.data.examples import SizedSource, Source
from gauss_vit.data.file_reading import read_file, read_start
from gauss_vit.data.images.header import MAX_PIXELS, read_header
from gauss_vit.data.skips import Skips
from gauss_vit.errors import DataError

_LARGEST_GROUP = 64
_HEADER_BYTES = 2**16


def size_in_file(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Reads the (height, width) in pixels of the upright image in a file, mostly from its first 64 KiB.

    Headers with a preview are longer, and WebP's reader wants the whole file, which is then read.

    Raises:
      DataError: as `read_header` and `read_file`.
    """
    start = read_start(path, _HEADER_BYTES)
    try:
        return read_header(start, name=str(path), max_pixels=max_pixels).size
    except DataError:
        if len(start) < _HEADER_BYTES:
            raise
    return read_header(read_file(path), name=str(path), max_pixels=max_pixels).size


def image_size(source: Source, index: int, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Reads the (height, width) in pixels of an upright image, by its header.

    Raises:
      DataError: as `read_header`, or it cannot be read.
    """
    if isinstance(source, SizedSource):
        return source.image_size(index, max_pixels=max_pixels)
    example = source[index]
    return read_header(example.image, name=example.name, max_pixels=max_pixels).size


def image_sizes(
    source: Source, *, num_threads: int, max_pixels: int = MAX_PIXELS, skips: Skips | None = None
) -> dict[int, tuple[int, int]]:
    """Reads the sizes of all images, by their indices in ascending order.

    Args:
      source: the examples.
      num_threads: threads that read; 0 reads in the caller.
      max_pixels: larger images are refused.
      skips: record of damaged images, which are left out; without it they are errors.

    Raises:
      DataError: an image cannot be read.
    """

    def read(indices: range) -> list[tuple[int, tuple[int, int]]]:
        return list(_sizes(source, indices, max_pixels=max_pixels, skips=skips))

    groups = [range(start, min(start + _LARGEST_GROUP, len(source))) for start in range(0, len(source), _LARGEST_GROUP)]
    if num_threads == 0:
        return dict(itertools.chain.from_iterable(map(read, groups)))
    with ThreadPoolExecutor(num_threads, thread_name_prefix="headers") as pool:
        return dict(itertools.chain.from_iterable(pool.map(read, groups)))


def _sizes(
    source: Source, indices: range, *, max_pixels: int, skips: Skips | None
) -> Iterator[tuple[int, tuple[int, int]]]:
    for index in indices:
        try:
            yield index, image_size(source, index, max_pixels=max_pixels)
        except DataError as error:
            if skips is None:
                raise
            skips.take(index, error)
