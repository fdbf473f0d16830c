"""Average precision and recall of boxes and masks as COCO defines them, by pycocotools or what computes the same."""

import contextlib
import importlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from gauss_vit.errors import ConfigError

Kind = Literal["bbox", "segm"]
Entry = Mapping[str, Any]

Backend = Literal["pycocotools", "faster_coco_eval", "hotcoco"]
"""A library that compares detections: the reference, or one that gives equal numbers in less time."""

_INDEX = {
    "pycocotools": ("pycocotools.coco", "COCO"),
    "faster_coco_eval": ("faster_coco_eval", "COCO"),
    "hotcoco": ("hotcoco", "COCO"),
}
_COMPARISON = {
    "pycocotools": ("pycocotools.cocoeval", "COCOeval"),
    "faster_coco_eval": ("faster_coco_eval", "COCOeval_faster"),
    "hotcoco": ("hotcoco", "COCOeval"),
}
_EXTRAS = {"pycocotools": "coco", "faster_coco_eval": "coco-fast", "hotcoco": "coco-fast"}

TITLES: Mapping[Kind, str] = {"bbox": "box", "segm": "mask"}
"""What the kinds of comparison are called in text."""

NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
"""The twelve numbers in COCO's order: precision at ten overlaps, at 0.5, at 0.75 and by size; recall of at most 1, 10
and 100 detections an image, and by size."""


@runtime_checkable
class Detected(Protocol):
    """A prediction for one image, as NumPy arrays, that COCO's format for results can hold."""

    def entries(self, *, image_id: int, category_ids: Sequence[int]) -> Sequence[Entry]:
        """Describes its objects.

        Args:
          image_id: number of the image.
          category_ids: number of each class.

        Raises:
          ConfigError: there are masks, and pycocotools is not installed.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class CocoScores:
    """Precision and recall over a data set.

    Attributes:
      values: the numbers of `NAMES`, in 0..1; NaN where no object counts.
      class_precision: AP of every category, by its id; NaN for a category without objects.
    """

    values: Mapping[str, float]
    class_precision: Mapping[int, float]


def scores(
    truth: Mapping[str, Any], results: Sequence[Entry], *, kind: Kind, backend: Backend = "pycocotools"
) -> CocoScores:
    """Compares detections with the objects of a data set; neither is changed.

    Args:
      truth: annotations in COCO's format, with `images`, `categories` and `annotations`.
      results: detections in COCO's format for results, with `image_id`, `category_id`, `score` and `bbox`
        [x, y, width, height]; for "segm" with `segmentation` as `encode` returns it.
      kind: what is compared, boxes or masks.
      backend: what compares them.

    Raises:
      ConfigError: it is not installed.
      ValueError: a detection is of an image that the data set does not have.
    """
    unknown = {entry["image_id"] for entry in results} - {image["id"] for image in truth["images"]}
    if unknown:
        raise ValueError(f"detections of images that the annotations do not have, such as {min(unknown)}")
    with contextlib.redirect_stdout(io.StringIO()):
        known = _indexed(truth, truth["annotations"], backend=backend)
        # An empty list of results cannot be loaded. With both, loadRes takes the area of a box for that of its mask.
        left_out = {"bbox"} if kind == "segm" else set()
        copies = [{key: value for key, value in entry.items() if key not in left_out} for entry in results]
        found = known.loadRes(copies) if results else _indexed(truth, [], backend=backend)
        evaluation = _attribute(*_COMPARISON[backend], backend=backend)(known, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return CocoScores(
        values={name: _known(value) for name, value in zip(NAMES, evaluation.stats[: len(NAMES)], strict=True)},
        class_precision={
            int(category): _mean_of_known(evaluation.eval["precision"][:, :, place, 0, -1])
            for place, category in enumerate(evaluation.params.catIds)
        },
    )


def encode(mask: Bool[np.ndarray, "height width"]) -> dict[str, Any]:
    """Encodes a mask as COCO's compressed run lengths, with `size` (height, width) and `counts` as text.

    Raises:
      ConfigError: pycocotools is not installed.
    """
    encode_array = _attribute("pycocotools.mask", "encode", backend="pycocotools")
    encoded = encode_array(np.asfortranarray(mask, np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def _indexed(truth: Mapping[str, Any], annotations: Sequence[Entry], *, backend: Backend) -> Any:  # noqa: ANN401  pycocotools has no types
    """Makes a data set of copies of the annotations, which an evaluation writes into."""
    data_set = _attribute(*_INDEX[backend], backend=backend)()
    data_set.dataset = {
        "images": list(truth["images"]),
        "categories": list(truth["categories"]),
        # An object whose id is 0 would count as one that is not found.
        "annotations": [{**entry, "id": number} for number, entry in enumerate(annotations, start=1)],
    }
    data_set.createIndex()
    return data_set


def _attribute(module: str, name: str, *, backend: Backend) -> Any:  # noqa: ANN401
    """Imports what a backend is made of.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        message = f"COCO's evaluation needs {backend}: {error}"
        raise ConfigError(message, do=f"pip install 'gauss_vit[{_EXTRAS[backend]}]'") from error


def _known(value: float) -> float:
    """Converts COCO's -1, for nothing to measure, to NaN."""
    return float(value) if value > -1 else math.nan


def _mean_of_known(values: Float[np.ndarray, "..."]) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan
