"""Records what OpenCV, MMCV and MMSegmentation make of small synthetic images, as opencv.npz beside this file.

Run where opencv-python-headless 4.14, mmcv-lite 2.1.0 and mmsegmentation 1.2.2 are installed:
`python tests/data/images/record_opencv.py`.
"""

import importlib.machinery
import itertools
import sys
import types
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from recorded_steps import STEPS


class _Compiled(types.ModuleType):
    """Stands for the compiled operators of MMCV, which none of the recorded transforms calls."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


_OPERATORS = _Compiled("mmcv._ext")
_OPERATORS.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
sys.modules["mmcv._ext"] = _OPERATORS

import mmcv
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop
from mmseg.datasets.transforms import transforms as mmseg_transforms

IMAGE_SIZE, DISTORTED_SIZE = (37, 52), (40, 64)
NEW_SIZES = ((74, 104), (61, 33), (18, 26), (19, 27), (9, 130), (1, 1), (37, 52))
SIDES = (1, 2, 3, 31, 64, 333, 511, 512, 513, 683, 1024, 2047, 2048, 5000)
SCALES = ((2048, 512), (1024, 256), (3071, 767), (1333, 800))
CROP, NUM_CROPS, NUM_MASKS = 24, 11, 24


def synthetic(height: int, width: int) -> np.ndarray:
    """Waves with sharp edges: every error of a pixel or of rounding shows."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 3 + y / 7), np.cos(x * y / 50), np.sign(np.sin(y / 2 + x / 9))], -1)
    return (127.5 + 127.5 * waves).astype(np.uint8)


def lattice(*axes: np.ndarray) -> np.ndarray:
    """All colours of three values, uint8 [colours, 64, 3]: long rows, which OpenCV computes in vectors."""
    colours = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.uint8)
    return colours[: len(colours) // 64 * 64].reshape(-1, 64, 3)


def distorted(image: np.ndarray, steps: dict) -> np.ndarray:
    """MMSegmentation's distortion with these steps instead of drawn ones; its images are BGR."""
    is_first = steps.get("is_contrast_first", False)
    order = ("contrast", "saturation", "hue") if is_first else ("saturation", "hue", "contrast")
    coins = iter(["brightness" in steps, is_first, *(name in steps for name in order)])
    amounts = iter([steps[name] for name in ("brightness", *order) if name in steps])
    drawn = types.SimpleNamespace(
        randint=lambda low, high=None: int(next(coins)) if high is None else next(amounts),
        uniform=lambda low, high: next(amounts),
    )
    with mock.patch.object(mmseg_transforms, "random", drawn):
        result = PhotoMetricDistortion()({"img": np.ascontiguousarray(image[:, :, ::-1])})["img"]
    return result[:, :, ::-1]


def masks() -> np.ndarray:
    """Masks of a few classes and ignored areas, from varied ones to those of one class."""
    rng = np.random.RandomState(1)
    y, x = np.mgrid[:40, :56]
    drawn = [
        np.where(x + y < limit, 3, np.where(y > 30, 255, np.where(x > edge, 1, 0)))
        for limit, edge in rng.randint(5, 70, (NUM_MASKS, 2))
    ]
    return np.stack(drawn).astype(np.uint8)


def chosen_crop(mask: np.ndarray, offsets: np.ndarray) -> int:
    """The index of the crop that MMSegmentation takes, if these are drawn one after the other."""
    drawn = iter(offsets.ravel().tolist())
    crop = RandomCrop(crop_size=(CROP, CROP), cat_max_ratio=0.75)
    with mock.patch.object(mmseg_transforms.np.random, "randint", lambda low, high: next(drawn)):
        top, _, left, _ = crop.crop_bbox({"img": np.zeros((*mask.shape, 3), np.uint8), "gt_seg_map": mask})
    return next(index for index, offset in enumerate(offsets) if tuple(offset) == (top, left))


def main() -> None:
    """Writes inputs and results."""
    image, colours, hues = (
        synthetic(*IMAGE_SIZE),
        lattice(*[np.arange(0, 256, 15)] * 3),
        lattice(np.arange(180), np.arange(0, 256, 51), np.arange(0, 256, 15)),
    )
    record = {"image": image, "colours": colours, "hues": hues}
    for height, width in NEW_SIZES:
        record[f"bilinear_{height}x{width}"] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        record[f"nearest_{height}x{width}"] = cv2.resize(
            image[:, :, 0], (width, height), interpolation=cv2.INTER_NEAREST
        )
    record["hsv"] = cv2.cvtColor(colours, cv2.COLOR_RGB2HSV)
    record["rgb"] = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)
    # Rows of 64 pixels are vectors to the end; OpenCV rounds what is left of longer ones to nearest.
    record["undistorted"] = synthetic(*DISTORTED_SIZE)
    record["distorted"] = np.stack([distorted(record["undistorted"], steps) for steps in STEPS])
    sizes = list(itertools.product(SIDES, SIDES, SCALES))
    record["sizes"] = np.asarray([(height, width, *scale) for height, width, scale in sizes])
    record["fitted"] = np.asarray([mmcv.rescale_size((width, height), scale)[::-1] for height, width, scale in sizes])
    record["masks"], rng = masks(), np.random.RandomState(2)
    record["offsets"] = np.stack(
        [
            np.stack([rng.permutation(40 - CROP + 1)[:NUM_CROPS], rng.permutation(56 - CROP + 1)[:NUM_CROPS]], 1)
            for _ in range(NUM_MASKS)
        ]
    )
    record["chosen"] = np.asarray([chosen_crop(*pair) for pair in zip(record["masks"], record["offsets"], strict=True)])
    np.savez_compressed(Path(__file__).parent / "opencv.npz", **record)


if __name__ == "__main__":
    main()
