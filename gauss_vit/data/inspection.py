"""Inspects a split of a data set: its size, its classes, and the formats and masks of a sample of its images."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gauss_vit.data.config import Data
from gauss_vit.data.examples import SelectiveSource, Source
from gauss_vit.data.images import image as images
from gauss_vit.data.images.header import open_image
from gauss_vit.data.mask_counts import NO_MASKS, MaskCounts, count_targets
from gauss_vit.data.sources.folders import FolderSource
from gauss_vit.data.sources.splits import open_split
from gauss_vit.data.sources.subsets import SubsetSource
from gauss_vit.quantities import counted


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """Summary of a split.

    Attributes:
      split: name of the split.
      num_examples: number of images.
      class_names: one name for each class of the data set.
      num_sampled: number of images that were decoded, evenly spread.
      formats: number of sampled images by format and mode, such as "JPEG RGB".
      smallest: (height, width) in pixels of the image with the fewest pixels.
      largest: (height, width) in pixels of the image with the most pixels.
      masks: what the masks of the sample hold; none where there are none.
      num_ignored: number of files in the folders of classes that are not images, by their names.
      notes: what else the source says of itself, such as the objects that are not learned from.
    """

    split: str
    num_examples: int
    class_names: tuple[str, ...]
    num_sampled: int
    formats: Mapping[str, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    masks: MaskCounts = NO_MASKS
    num_ignored: int = 0
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Writes the summary in one line."""
        formats = ", ".join(f"{count} {kind}" for kind, count in self.formats.items())
        smallest, largest = (f"{height} x {width}" for height, width in (self.smallest, self.largest))
        sizes = f"{smallest} px" if smallest == largest else f"{smallest} to {largest} px"
        images, classes = counted(self.num_examples, "image"), counted(len(self.class_names), "class", "classes")
        ignored = f"; {counted(self.num_ignored, 'other file')} ignored" if self.num_ignored else ""
        return f"{self.split}: {images}, {classes}; of {self.num_sampled} decoded: {formats}; {sizes}{ignored}"


def inspect_split(data: Data, split: str, *, num_samples: int) -> SplitReport:
    """Opens a split and decodes a sample of its images.

    Raises:
      DataError: the split is missing, damaged or empty, or an image of the sample cannot be read.
    """
    source = open_split(data, split)
    indices = _spread(len(source), num_samples)
    looks = [_look(source, index, max_pixels=data.max_pixels) for index in indices]
    sizes = sorted((look.size for look in looks), key=lambda size: size[0] * size[1])
    return SplitReport(
        split=split,
        num_examples=len(source),
        class_names=tuple(source.class_names),
        num_sampled=len(indices),
        formats=dict(Counter(look.kind for look in looks).most_common()),
        smallest=sizes[0],
        largest=sizes[-1],
        masks=sum((look.masks for look in looks), start=NO_MASKS),
        num_ignored=_num_ignored(source),
        notes=source.summary() if isinstance(source, SelectiveSource) else (),
    )


def _num_ignored(source: Source) -> int:
    """The files that a folder of images has beside them; 0 for other sources."""
    whole = source.source if isinstance(source, SubsetSource) else source
    return whole.num_ignored if isinstance(whole, FolderSource) else 0


def _spread(num_examples: int, num_samples: int) -> tuple[int, ...]:
    """Returns indices from the first to the last, evenly spread.

    >>> _spread(10, 4)
    (0, 3, 6, 9)
    """
    count = min(num_examples, num_samples)
    return tuple(place * (num_examples - 1) // max(1, count - 1) for place in range(count))


@dataclass(frozen=True, kw_only=True)
class _Look:
    """Format and mode, and (height, width), of an image, with what its mask holds, if it has one."""

    kind: str
    size: tuple[int, int]
    masks: MaskCounts


def _look(source: Source, index: int, *, max_pixels: int) -> _Look:
    """Reads and decodes an example.

    Raises:
      DataError: it cannot be decoded.
    """
    example = source[index]
    upright = images.decode(example.image, name=example.name, max_pixels=max_pixels)
    kind = open_image(
        example.image, lambda opened: f"{opened.format} {opened.mode}", name=example.name, max_pixels=max_pixels
    )
    return _Look(kind=kind, size=(upright.height, upright.width), masks=count_targets(example.targets))
