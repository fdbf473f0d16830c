"""Records what timm makes of the positions of one grid in a model of another, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.weights.record_positions
It writes tests/weights/positions_reference.npz: `MODEL.HEIGHTxWIDTH.NAME`, the tensors that timm resampled.
"""

from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm
from timm.models import beit, swin_transformer, vision_transformer, vision_transformer_relpos

from tests.models import deterministic

SMALL = {"embed_dim": 8, "depth": 1, "num_heads": 2, "num_classes": 5}
SIZES = ((112, 448), (448, 112), (256, 256), (160, 224))
"""(height, width) of images: 7 x 28 and 28 x 7 patches are as many as the 14 x 14 of the files."""

MODELS = {
    "vit": ("vit_small_patch16_224", vision_transformer, {}),
    "deit3": ("deit3_small_patch16_224", vision_transformer, {}),
    "beit": ("beit_base_patch16_224", beit, {}),
    "relative": ("vit_relpos_small_patch16_224", vision_transformer_relpos, {"rel_pos_type": "bias"}),
}
WINDOWS = ((4, 14), (2, 7))
_SWIN = {"embed_dim": 8, "depths": (1, 1), "num_heads": (2, 2), "num_classes": 5}


def resampled(module, source: torch.nn.Module, target: torch.nn.Module) -> dict[str, np.ndarray]:
    """Returns the position tensors of a source as timm loads them into a target."""
    state = {
        name: torch.from_numpy(deterministic.tensor(name, tuple(value.shape)))
        for name, value in source.state_dict().items()
        if value.is_floating_point()
    }
    loaded = module.checkpoint_filter_fn(dict(state), target)
    target.load_state_dict(loaded, strict=False)
    return {name: value.numpy() for name, value in loaded.items() if name == "pos_embed" or name.endswith("bias_table")}


def main() -> None:
    """Records every model at every size, and Swin at every window."""
    recorded = {}
    for label, (name, module, options) in MODELS.items():
        source = timm.create_model(name, **SMALL, **options)
        for size in SIZES:
            target = timm.create_model(name, img_size=size, **SMALL, **options)
            for tensor, value in resampled(module, source, target).items():
                recorded["{}.{}x{}.{}".format(label, *size, tensor)] = value
    source = timm.create_model("swin_tiny_patch4_window7_224", **_SWIN)
    for window in WINDOWS:
        target = timm.create_model("swin_tiny_patch4_window7_224", window_size=window, **_SWIN)
        for tensor, value in resampled(swin_transformer, source, target).items():
            recorded["swin.{}x{}.{}".format(*window, tensor)] = value
    np.savez_compressed(Path(__file__).with_name("positions_reference.npz"), **recorded)


if __name__ == "__main__":
    main()
