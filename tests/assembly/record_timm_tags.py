"""Writes gauss_vit/assembly/timm_tags.csv: the pretrained tags of our presets, with the image preparation of each.

Run it where torch, torchvision and timm 1.0.31 are installed:  python -m tests.assembly.record_timm_tags NAME ...
with the names that `gauss-vit models --names` prints. The first row of a model is timm's default tag; a model without
published weights has one row without a tag.
"""

import csv
import sys
from pathlib import Path

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm

TABLE = Path(__file__).parents[2] / "gauss_vit" / "assembly" / "timm_tags.csv"
HEADER = ("model", "tag", "num_classes", "crop_fraction", "crop_mode", "interpolation", "mean", "std")


def rows(name: str) -> list[tuple[object, ...]]:
    """Returns the rows of a model, timm's default tag first."""
    full_names = timm.list_models(f"{name}.*", pretrained=True)
    default = timm.get_pretrained_cfg(name)
    if not full_names:
        numbers = (" ".join(map(str, values)) for values in (default.mean, default.std))
        return [(name, "", 0, default.crop_pct, default.crop_mode, default.interpolation, *numbers)]
    found = []
    for full in sorted(full_names, key=lambda full: full.partition(".")[2] != default.tag):
        config = timm.get_pretrained_cfg(full)
        if config.crop_mode not in ("center", "squash") or config.input_size[1:] != default.input_size[1:]:
            raise ValueError(f"{full} prepares images in a way that the table does not describe: {config}")
        numbers = (" ".join(map(str, values)) for values in (config.mean, config.std))
        tag = full.partition(".")[2]
        crop = (config.crop_pct, config.crop_mode)
        found.append((name, tag, config.num_classes, *crop, config.interpolation, *numbers))
    return found


def main() -> None:
    """Writes the rows of the models that are named."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(row for name in sys.argv[1:] for row in rows(name))


if __name__ == "__main__":
    main()
