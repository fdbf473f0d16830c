"""Records what MMDetection's training transforms make of drawn images with objects, as mmdet.npz beside this file.

Run from the root of the project, where mmdet 3.3.0 with mmcv-lite 2.1.0 and opencv-python-headless 4.14 are installed:
`python -m tests.data.images.record_mmdet`.
"""

import importlib.machinery
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np


class _Compiled(types.ModuleType):
    """Stands for the compiled operators of MMCV, which none of the recorded transforms calls."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


_OPERATORS = _Compiled("mmcv._ext")
_OPERATORS.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
sys.modules["mmcv._ext"] = _OPERATORS

from mmdet.datasets.transforms import RandomCrop, RandomFlip, Resize
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from tests.data.images.mmdet_cases import CASES, Case, drawn_bitmaps, drawn_boxes, drawn_image


def transformed(case: Case) -> dict[str, np.ndarray]:
    """The image, boxes, masks and kept objects after MMDetection's transforms with given draws."""
    height, width = case.image_size
    bitmaps = drawn_bitmaps(case)
    results = {
        "img": drawn_image(case)[..., ::-1].copy(),
        "img_shape": case.image_size,
        "gt_bboxes": HorizontalBoxes(drawn_boxes(case)[:, [1, 0, 3, 2]]),
        "gt_bboxes_labels": np.arange(len(bitmaps)),
        "gt_ignore_flags": np.zeros(len(bitmaps), bool),
        "gt_masks": BitmapMasks(bitmaps, height, width),
    }
    results = RandomFlip(prob=float(case.is_flipped))(results)
    for short_side, crop in ((case.short_side_before_crop, case.crop), (case.short_side, None)):
        if short_side is None:
            continue
        results = Resize(scale=(case.longest_side, short_side), keep_ratio=True)(results)
        if crop is not None:
            results = cropped(results, crop)
    boxes = results["gt_bboxes"].numpy()[:, [1, 0, 3, 2]]
    return {
        "image": np.ascontiguousarray(results["img"][..., ::-1]),
        "yxyx": boxes.astype(np.float32),
        "kept": results["gt_bboxes_labels"],
        "bitmaps": np.packbits(results["gt_masks"].masks.astype(bool), axis=-1),
    }


def cropped(results: dict, crop: tuple[int, int, int, int]) -> dict:
    """The results after MMDetection's crop with a given box (top, left, bottom, right)."""
    top, left, bottom, right = crop
    transform = RandomCrop(crop_size=(1, 1), crop_type="absolute_range", allow_negative_crop=True)
    with (
        mock.patch.object(transform, "_get_crop_size", lambda size: (bottom - top, right - left)),
        mock.patch.object(transform, "_rand_offset", lambda margin: (top, left)),
    ):
        return transform(results)


def main() -> None:
    """Writes the record."""
    record = {f"{name}.{key}": value for name, case in CASES.items() for key, value in transformed(case).items()}
    np.savez_compressed(Path(__file__).with_name("mmdet.npz"), **record)


if __name__ == "__main__":
    main()
