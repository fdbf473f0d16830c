"""Records the probabilities that timm computes for three pictures with a small model, for machines without torch.

Run it where torch, torchvision and timm 1.0.31 are installed:  python -m tests.commands.record_predict
It writes tests/commands/predict_reference.npz: the most probable classes of each picture and their probabilities.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm
from PIL import Image

from tests.analysis.photos import write_photos
from tests.commands.predict_weights import SIDE, TOP, tensor

REFERENCE = Path(__file__).with_name("predict_reference.npz")


def main() -> None:
    """Writes the record."""
    model = timm.create_model("vit_small_patch16_224", img_size=SIDE, embed_dim=48, depth=2, num_heads=3).eval()
    state = {key: torch.from_numpy(tensor(key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    config = timm.data.resolve_data_config({"input_size": (3, SIDE, SIDE)}, model=model)
    transform = timm.data.create_transform(**config, is_training=False)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        write_photos(Path(folder))
        paths = sorted(Path(folder).iterdir())
        batch = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
        values, indices = model(batch).softmax(dim=1).topk(TOP)
    np.savez_compressed(REFERENCE, index=indices.numpy(), probability=values.numpy())


if __name__ == "__main__":
    main()
