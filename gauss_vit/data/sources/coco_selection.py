"""What is learned from of an annotation file: which images, and which of their objects, with counts of the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from gauss_vit.batches import MAX_OBJECTS
from gauss_vit.data.sources.coco_annotations import NO_CLASS, Annotations

SMALLEST_SIDE = 32
"""Images with a shorter side in pixels are not learned from."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The objects that are learned from, grouped by image, and what is left out.

    Attributes:
      objects: places of the objects among the annotations, image by image and in the order of the file.
      ends: int64 [images], for each image the place in `objects` after its last one.
      images: indices of the images that are learned from, ascending.
      left_out: numbers of annotations, by what is wrong with them; an annotation counts for its first flaw.
      images_left_out: numbers of images, by what is wrong with them.
      num_crowds: number of crowds, which are neither learned from nor held against detections.
      num_unmasked: number of objects whose box stands for their missing mask.
    """

    objects: Int[np.ndarray, " objects"]
    ends: Int[np.ndarray, " images"]
    images: Int[np.ndarray, " learned"]
    left_out: Mapping[str, int]
    images_left_out: Mapping[str, int]
    num_crowds: int
    num_unmasked: int

    def of_image(self, index: int) -> Int[np.ndarray, " objects"]:
        """Returns the places of an image's objects among the annotations."""
        return self.objects[self.ends[index - 1] if index else 0 : self.ends[index]]


def select(annotations: Annotations) -> Selection:
    """Selects what is learned from.

    An image is left out where it has no annotation of a listed class, or is narrower than 32 pixels; one with crowds
    alone is not. Of more than `MAX_OBJECTS` objects in an image those with the largest boxes are kept.

    Source: MMDetection, `CocoDataset.filter_data`; its training split of COCO has 117,266 images.
    """
    is_kept, left_out = ~annotations.is_crowd, {}
    for flaw, has_flaw in annotations.flaws().items():
        left_out[flaw] = int(np.count_nonzero(is_kept & has_flaw))
        is_kept &= ~has_flaw
    is_small = is_kept & ~_is_among_largest(annotations, is_kept)
    left_out[f"beyond the {MAX_OBJECTS} largest of an image"] = int(np.count_nonzero(is_small))
    kept = np.flatnonzero(is_kept & ~is_small)
    kept = kept[np.argsort(annotations.image[kept], kind="stable")]
    counts = np.bincount(annotations.image[kept], minlength=len(annotations.file_names))
    is_annotated = np.zeros(len(annotations.file_names), np.bool_)
    is_annotated[annotations.image[annotations.label != NO_CLASS]] = True
    is_narrow = annotations.sizes.min(axis=1) < SMALLEST_SIDE
    return Selection(
        objects=kept,
        ends=np.cumsum(counts),
        images=np.flatnonzero(is_annotated & ~is_narrow),
        left_out=_some(left_out),
        images_left_out=_some(
            {
                "without annotations": int(np.count_nonzero(~is_annotated)),
                f"narrower than {SMALLEST_SIDE} px": int(np.count_nonzero(is_annotated & is_narrow)),
            }
        ),
        num_crowds=int(np.count_nonzero(annotations.is_crowd)),
        num_unmasked=int(np.count_nonzero(annotations.outlines.is_missing[kept])),
    )


def _is_among_largest(
    annotations: Annotations, is_kept: Bool[np.ndarray, " annotations"]
) -> Bool[np.ndarray, " annotations"]:
    """Whether the box of an annotation is among the largest kept ones of its image; of equal ones the first are."""
    kept = np.flatnonzero(is_kept)
    box_area = annotations.xywh[kept, 2] * annotations.xywh[kept, 3]
    ordered = kept[np.lexsort((-box_area, annotations.image[kept]))]
    counts = np.bincount(annotations.image[ordered], minlength=len(annotations.file_names))
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(ordered)) - starts[annotations.image[ordered]]
    is_large = np.zeros(is_kept.shape, np.bool_)
    is_large[ordered[rank < MAX_OBJECTS]] = True
    return is_large


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}
