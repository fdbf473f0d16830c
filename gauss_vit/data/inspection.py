"""What a data set holds: its size, its classes, and what a sample of its images looks like."""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from gauss_vit.data.config import Data
from gauss_vit.data.examples import Source
from gauss_vit.data.images import image as images
from gauss_vit.data.sources.splits import open_split


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """What was found in a split.

    Attributes:
      split: its name.
      num_examples: how many images it holds.
      num_classes: how many classes the labels can name.
      num_sampled: how many images were decoded, evenly spread.
      formats: how many of them are of which format and mode, such as "JPEG RGB".
      smallest, largest: (height, width) of the images with fewest and most pixels, in pixels.
    """

    split: str
    num_examples: int
    num_classes: int
    num_sampled: int
    formats: Mapping[str, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]


def inspect_split(data: Data, split: str, *, num_samples: int) -> SplitReport:
    """Opens a split and decodes a sample of its images.

    Raises:
      DataError: the split is missing, damaged or empty, or an image of the sample cannot be read.
    """
    source = open_split(data, split)
    indices = _spread(len(source), num_samples)
    looks = [_look(source, index, max_pixels=data.max_pixels) for index in indices]
    sizes = sorted((size for _, size in looks), key=lambda size: size[0] * size[1])
    return SplitReport(
        split=split,
        num_examples=len(source),
        num_classes=source.num_classes,
        num_sampled=len(indices),
        formats=dict(Counter(kind for kind, _ in looks).most_common()),
        smallest=sizes[0],
        largest=sizes[-1],
    )


def _spread(num_examples: int, num_samples: int) -> tuple[int, ...]:
    """Indices from the first to the last, evenly spread.

    >>> _spread(10, 4)
    (0, 3, 6, 9)
    """
    count = min(num_examples, num_samples)
    return tuple(place * (num_examples - 1) // max(1, count - 1) for place in range(count))


def _look(source: Source, index: int, *, max_pixels: int) -> tuple[str, tuple[int, int]]:
    """Format and mode, and (height, width), of an image that decodes.

    Raises:
      DataError: it does not.
    """
    example = source[index]
    upright = images.decode(example.image, name=example.name, max_pixels=max_pixels)
    with Image.open(io.BytesIO(example.image), formats=images.FORMATS) as opened:
        return f"{opened.format} {opened.mode}", (upright.height, upright.width)
