"""Records the logits of stock timm models on exported weights, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.weights.record_bake FOLDER
FOLDER holds what `python -m tests.weights.bake_models FOLDER` wrote: a file for every model, loaded here with
strict=True. It writes tests/weights/bake_reference.npz.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

from safetensors.torch import load_file
from timm.models.beit import Beit
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos

from tests.models import deterministic

_VIT = {"patch_size": 4, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 5, "img_size": (8, 12)}
MODELS = {
    "relpos": (VisionTransformerRelPos, {**_VIT, "rel_pos_type": "bias", "init_values": 1.0, "fc_norm": True}),
    "class_token": (
        VisionTransformerRelPos,
        {**_VIT, "rel_pos_type": "bias", "init_values": 1.0, "class_token": True, "global_pool": "token"},
    ),
    "beit": (
        Beit,
        {**_VIT, "init_values": 1.0, "global_pool": "token", "use_rel_pos_bias": True, "use_abs_pos_emb": False},
    ),
    "swin": (
        SwinTransformer,
        {
            "img_size": 64,
            "embed_dim": 12,
            "depths": (2, 3, 1),
            "num_heads": (2, 3, 4),
            "window_size": 4,
            "num_classes": 5,
        },
    ),
}
# Files "term NAME.safetensors" hold models with one position term each, which all became tables of equal shape.
ONE_TERM = (VisionTransformerRelPos, {**MODELS["relpos"][1], "num_heads": 4})


def main() -> None:
    """Records every model."""
    recorded = {}
    files = sorted(Path(sys.argv[1]).glob("term *.safetensors"))
    for name, (model_class, arguments) in (MODELS | {file.stem: ONE_TERM for file in files}).items():
        has_bias = name in ("beit", "swin")
        model = model_class(qkv_bias=has_bias, **arguments).eval()
        model.load_state_dict(load_file(Path(sys.argv[1]) / f"{name}.safetensors"), strict=True)
        size = arguments["img_size"]
        shape = (2, *(size if isinstance(size, tuple) else (size, size)), 3)
        with torch.no_grad():
            recorded[name] = model(torch.from_numpy(deterministic.image(shape)).permute(0, 3, 1, 2)).numpy()
    np.savez_compressed(Path(__file__).with_name("bake_reference.npz"), **recorded)


if __name__ == "__main__":
    main()
