"""Writes weights as timm, transformers and torch write them, with their outputs, for `tests.weights.read_elsewhere`.

python -m tests.weights.write_elsewhere FOLDER    (needs torch, timm and transformers, and not JAX)
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm
import transformers


def main() -> None:
    """Writes a distilled DeiT of timm, as a folder and as a wrapped pickle, and a ViTModel of Hugging Face."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2)
    deit = timm.create_model("deit_tiny_distilled_patch16_224").eval()
    timm.models.save_for_hf(deit, folder / "timm", safe_serialization="both")
    wrapped = {f"module.{name}": tensor for name, tensor in deit.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, folder / "wrapped.pth")
    sizes = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    vit = transformers.ViTModel(transformers.ViTConfig(**sizes)).eval()
    vit.save_pretrained(folder / "hugging_face")
    transformers.ViTImageProcessor().save_pretrained(folder / "hugging_face")
    with torch.no_grad():
        outputs = {"logits": deit(inputs).numpy(), "tokens": vit(inputs).last_hidden_state.numpy()}
    np.savez(folder / "reference.npz", images=images, **outputs)


if __name__ == "__main__":
    main()
