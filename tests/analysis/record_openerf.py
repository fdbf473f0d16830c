"""Records the receptive fields that OpenERF measures on deterministic weights, for machines without torch.

Run it where torch, torchvision, timm and openerf 0.6.1 are installed:

  python -m tests.analysis.record_openerf [NAME ...]                   small maps for the tests, openerf_reference.npz
  python -m tests.analysis.record_openerf --images=DIR --out=F.npz NAME ...   whole maps, for tests.analysis.parity

A small map is the sum over squares of 8 x 8 pixels. Beside the maps lie what OpenERF fed to the model for the first
image (`NAME.input`, whole maps only) and how images were prepared.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import openerf
import timm
from openerf.data import FlatImageDataset, build_timm_eval_transform

from tests.analysis.photos import write_photos
from tests.models import deterministic

REFERENCE = Path(__file__).with_name("openerf_reference.npz")
SMALL = (
    "vit_relpos_small_patch16_224",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "xcit_small_24_p16_224",
    "swinv2_cr_tiny_ns_224",
)
# As OpenERF chooses them for the presets of these families; it has none for vit_relpos.
TARGETS = {"vit_small": "norm", "vit_base": "norm", "deit": "norm"}


def model_of(name: str) -> torch.nn.Module:
    """Makes timm's model with deterministic weights; normalisations are not constant."""
    model = timm.create_model(name).eval()
    state = {key: torch.from_numpy(deterministic.tensor(key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.register_forward_hook(_keep_gradients_contiguous)
    return model


def _keep_gradients_contiguous(_: torch.nn.Module, __: object, output: torch.Tensor) -> None:
    """Keeps torch from a wrong gradient on CPUs: docs/receptive_fields.md shows it in ten lines."""
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient.contiguous())


def measure(name: str, folder: Path) -> dict[str, np.ndarray]:
    """Gives OpenERF's map, the first image as the model saw it, and the mean and deviation of its colours."""
    model = model_of(name)
    target = next((layer for start, layer in TARGETS.items() if name.startswith(start)), None)
    result = openerf.compute_erf(
        model, model_name=name, image_dir=folder, target_layer=target, device="cpu", show_progress=False
    )
    transform, config = build_timm_eval_transform(model)
    first, _ = FlatImageDataset(folder, transform)[0]
    crop = np.array([config["crop_pct"]])
    return {
        f"{name}.map": result.erf_map,
        f"{name}.input": first.permute(1, 2, 0).numpy(),
        f"{name}.mean": np.array(config["mean"]),
        f"{name}.std": np.array(config["std"]),
        f"{name}.crop": crop,
        f"{name}.num_images": np.array(result.num_images),
    }


def pooled(values: np.ndarray) -> np.ndarray:
    """Sums squares of 8 x 8 pixels."""
    height, width = values.shape
    return values.reshape(height // 8, 8, width // 8, 8).sum(axis=(1, 3))


def record(names: Sequence[str]) -> None:
    """Writes the small maps of some models, beside those that are there."""
    recorded = dict(np.load(REFERENCE)) if REFERENCE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        for name in names:
            found = measure(name, Path(folder))
            recorded |= {key: value for key, value in found.items() if not key.endswith((".map", ".input"))}
            recorded[f"{name}.map"] = pooled(found[f"{name}.map"])
    np.savez_compressed(REFERENCE, **recorded)


def main() -> None:
    """Records small maps, or whole ones of a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.images is None:
        record(arguments.names or SMALL)
        return
    recorded = {}
    for name in arguments.names:
        recorded |= measure(name, arguments.images)
        np.savez_compressed(arguments.out, **recorded)


if __name__ == "__main__":
    main()
