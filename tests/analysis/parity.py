"""Compares our receptive fields with those that OpenERF measured on the same deterministic weights and image files.

python -m tests.analysis.parity --images=DIR --recorded=F.npz [NAME ...]  prints the agreement of whole maps, and apart
from it that of the prepared first image; F.npz comes from tests.analysis.record_openerf. It needs no torch.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.token import center_token
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.data.images.image import load_image, open_images, to_array
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.inspect.erf_run import Measurement, measure
from gauss_vit.models.compute import ActivationType
from gauss_vit.models.presets import PRESETS
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from tests.models import parity


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How near two maps are.

    Attributes:
      correlation: Pearson's, over pixels.
      relative_l1: sum of the differences' sizes over the sum of the reference.
    """

    correlation: float
    relative_l1: float


def agreement(ours: np.ndarray, theirs: np.ndarray) -> Agreement:
    """Compares two maps of one shape."""
    return Agreement(
        correlation=float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]),
        relative_l1=float(np.abs(ours - theirs).sum() / np.abs(theirs).sum()),
    )


def named(name: str, recorded: dict[str, np.ndarray]) -> NamedModel:
    """Our model with the weights of the recording, and images prepared as it says."""
    config, task = PRESETS[name], Classification()
    network = NetworkConfig(backbone=config, head=task.head)
    mean, std = (tuple(recorded[f"{name}.{key}"].tolist()) for key in ("mean", "std"))
    return NamedModel(
        name=name,
        config=config,
        task=task,
        params=parity.deterministic_params(network),
        step=0,
        eval_transform=ResizeCenterCrop(crop_fraction=float(recorded[f"{name}.crop"][0])),
        normalization=Normalization(mean=mean, std=std),
    )


def our_map(model: NamedModel, paths: tuple[Path, ...], *, dtype: ActivationType = "float32") -> np.ndarray:
    """Measures the central token of the last feature map."""
    measurement = Measurement(
        tokens=(center_token(model.config.grid),),
        layer=None,
        protocol=BMVC2023,
        images=paths,
        batch_size=3,
        stem=model.name,
        dtype=dtype,
    )
    (result,) = measure(model, measurement).maps()
    return result.values


def pixel_difference(model: NamedModel, path: Path, theirs: np.ndarray) -> float:
    """The largest difference between the prepared images, in units of the normalised input."""
    pixels = to_array(model.transform(load_image(path), size=model.config.image_size))
    return float(np.abs(np.asarray(model.normalization(pixels[None]))[0] - theirs).max())


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--recorded", type=Path, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    recorded, paths = dict(np.load(arguments.recorded)), open_images(arguments.images)
    names = arguments.names or [key.removesuffix(".map") for key in recorded if key.endswith(".map")]
    sys.stdout.write(f"{'model':32} {'images':>6} {'1 - correlation':>16} {'relative L1':>12} {'input pixels':>13}\n")
    for name in names:
        model = named(name, recorded)
        found = agreement(our_map(model, paths, dtype=arguments.dtype), recorded[f"{name}.map"])
        pixels = pixel_difference(model, paths[0], recorded[f"{name}.input"])
        cells = f"{1 - found.correlation:16.1e} {found.relative_l1:12.1e} {pixels:13.1e}"
        sys.stdout.write(f"{name:32} {len(paths):6d} {cells}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
