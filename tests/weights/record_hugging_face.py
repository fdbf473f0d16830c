"""Records the logits of Hugging Face's models on deterministic weights, for machines without torch.

Run it where torch, torchvision and transformers are installed:  python -m tests.weights.record_hugging_face
It writes tests/weights/hugging_face_reference.npz: for every model the logits of two images, and the names and shapes
of the tensors in the file that it writes.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import transformers
from safetensors.numpy import load_file, save_file

from tests.models import deterministic
from tests.weights.hugging_face_arguments import ARGUMENTS, image_size

CLASSES = {
    "vit": (transformers.ViTConfig, transformers.ViTForImageClassification),
    "deit": (transformers.DeiTConfig, transformers.DeiTForImageClassification),
    "swin": (transformers.SwinConfig, transformers.SwinForImageClassification),
}


def reference(name: str, arguments: dict, folder: Path) -> dict[str, np.ndarray]:
    """Writes a model with deterministic weights to a folder; gives its logits, and names and shapes of its file."""
    config_class, model_class = CLASSES[name]
    path = folder / "model.safetensors"
    model_class(config_class(**arguments)).save_pretrained(folder)
    tensors = {key: deterministic.tensor(key, value.shape) for key, value in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    model = model_class.from_pretrained(folder).eval()
    images = torch.from_numpy(deterministic.image((2, *image_size(arguments), 3))).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = model(images).logits.numpy()
    shapes = ["x".join(str(size) for size in value.shape) for value in tensors.values()]
    return {"logits": logits, "names": np.array(list(tensors)), "shapes": np.array(shapes)}


def main() -> None:
    """Records every small model."""
    recorded = {}
    for name, arguments in ARGUMENTS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = reference(name, arguments, Path(folder))
        recorded |= {f"{name}.{key}": value for key, value in found.items()}
    np.savez_compressed(Path(__file__).with_name("hugging_face_reference.npz"), **recorded)


if __name__ == "__main__":
    main()
