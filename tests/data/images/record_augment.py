"""Records single operations of timm's RandAugment and of torchvision, as augment.npz beside this file.

Run where torch, torchvision and timm 1.0.31 are installed: `python tests/data/images/record_augment.py`.
"""

import itertools
from pathlib import Path

import numpy as np

from tests.torchvision_operators import load_torchvision

load_torchvision()

from PIL import Image
from timm.data import auto_augment
from torchvision.transforms import InterpolationMode, functional

HEIGHT, WIDTH = 13, 18
LEVELS = (3.5, 9.0, 10.0)
FILL = (124, 116, 104)
MOVING = ("Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel")
COLORS = (
    "AutoContrast",
    "Equalize",
    "Invert",
    "PosterizeOriginal",
    "PosterizeIncreasing",
    "Solarize",
    "SolarizeIncreasing",
    "SolarizeAdd",
    "Color",
    "Contrast",
    "Sharpness",
    "ColorIncreasing",
    "ContrastIncreasing",
    "BrightnessIncreasing",
    "SharpnessIncreasing",
)
FACTORS = (0.0, 0.6, 1.4)
HUES = (-0.5, -0.1, 0.0, 0.25, 0.5)
ANGLES = (-15.0, 7.3, 90.0)


def synthetic() -> np.ndarray:
    """Waves with sharp edges, coloured, not using all of 0..255."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = np.stack([np.sin(x / 3 + y / 7), np.cos(x * y / 50), np.sign(np.sin(y / 2 + x / 9))], -1)
    return (120 + 100 * waves).astype(np.uint8)


def timm_operation(image: Image.Image, name: str, *, level: float, sign: int, resample: int) -> np.ndarray:
    """One of timm's operations with its chances taken out."""
    auto_augment._randomly_negate = lambda value: sign * value
    argument_of = auto_augment.LEVEL_TO_ARG[name]
    arguments = () if argument_of is None else argument_of(level, {})
    return np.asarray(auto_augment.NAME_TO_OP[name](image, *arguments, fillcolor=FILL, resample=resample))


def timm_record(image: Image.Image) -> dict[str, np.ndarray]:
    """All of timm's operations, in both directions, at all levels that Pillow allows."""
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    settings = [(name, "bicubic") for name in MOVING + COLORS] + [(name, "bilinear") for name in MOVING]
    record = {}
    for (name, resample), level, sign in itertools.product(settings, LEVELS, (1, -1)):
        # Newer versions of Pillow refuse to keep 0 bits, as timm asks for at level 10.
        if (name, level) != ("PosterizeIncreasing", 10.0):
            result = timm_operation(image, name, level=level, sign=sign, resample=filters[resample])
            record[f"timm:{name}:{level}:{sign}:{resample}"] = result
    return record


def torchvision_record(image: Image.Image) -> dict[str, np.ndarray]:
    """Colour changes, rotations and crops."""
    record = {}
    for change in ("brightness", "contrast", "saturation", "hue"):
        for factor in HUES if change == "hue" else FACTORS:
            record[f"adjust:{change}:{factor}"] = np.asarray(vars(functional)[f"adjust_{change}"](image, factor))
    for angle, mode in itertools.product(ANGLES, (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)):
        record[f"rotate:{mode.value}:{angle}"] = np.asarray(functional.rotate(image, angle, mode))
    for height, width in ((10, 9), (9, 18), (20, 15)):
        record[f"crop:{height}:{width}"] = np.asarray(functional.center_crop(image, (height, width)))
    return record


def policies() -> dict[str, np.ndarray]:
    """What RandAugment chooses from, and AutoAugment's pairs with probabilities and magnitudes."""
    rand = auto_augment.rand_augment_transform("rand-m9-mstd0.5-inc1").ops
    pairs = auto_augment.auto_augment_policy_original({"magnitude_std": 0.0})
    return {
        "rand_augment": np.array([operation.name for operation in rand]),
        "auto_augment": np.array([[f"{op.name}:{op.prob}:{op.magnitude}" for op in pair] for pair in pairs]),
    }


def main() -> None:
    """Writes the input and the results."""
    pixels = synthetic()
    image = Image.fromarray(pixels)
    record = {"input": pixels, **timm_record(image), **torchvision_record(image), **policies()}
    np.savez_compressed(Path(__file__).parent / "augment.npz", **record)


if __name__ == "__main__":
    main()
