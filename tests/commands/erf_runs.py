"""What tests of the `erf` verb share: images, and runs of the verb."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gauss_vit.commands import erf
from tests.command_lines import invocation
from tests.drawing import undrawn

CHOSEN = {"model": "tiny", "batch_size": 8, "save_every": 1}


def write_images(folder: Path) -> Path:
    """Makes a folder of ten images."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (10, 40, 60, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def run(folder: Path, out: Path, **options: Any) -> Path:
    """Runs the verb without drawing, and returns where the results are."""
    with undrawn():
        return drawn(folder, out, **options)


def drawn(folder: Path, out: Path, **options: Any) -> Path:
    """Runs the verb with its figures."""
    # A PDF takes a second, most of it for its fonts.
    options = CHOSEN | {"images": folder, "out": out, "format": "png"} | options
    erf.run(invocation(["erf", *(f"--{name}={value}" for name, value in options.items() if value is not None)]))
    return out


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a result."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
