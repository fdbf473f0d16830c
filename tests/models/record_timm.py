"""Records timm's logits and input gradients on deterministic weights, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.models.record_timm
It writes tests/models/timm_reference.npz: for every model the logits and, on a fixed sample of pixels, the gradient of
the sum of squared logits over two.
"""

from pathlib import Path

import numpy as np
import torch

# Lets torchvision load beside a CPU-only torch: its compiled operators are never called here.
_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm

from tests.models import deterministic

MODELS = (
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "vit_large_patch16_224",
    "vit_relpos_small_patch16_224",
    "vit_relpos_medium_patch16_224",
    "vit_relpos_base_patch16_224",
)
SAMPLE = 509  # a prime stride, so that every row, column and channel is met


def reference(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Gives float32 logits [1, 1000] and the gradient with respect to the image [1, height, width, 3]."""
    model = timm.create_model(name).eval()
    state = {
        key: torch.from_numpy(deterministic.tensor(key, tuple(value.shape)))
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(state, strict=True)
    images = torch.from_numpy(deterministic.image((1, 224, 224, 3))).permute(0, 3, 1, 2).requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(logits.square().sum() / 2, images)
    return logits.detach().numpy(), gradient.permute(0, 2, 3, 1).numpy()


def main() -> None:
    """Records every model."""
    recorded = {}
    for name in MODELS:
        logits, gradient = reference(name)
        recorded[f"{name}.logits"] = logits
        recorded[f"{name}.gradient"] = gradient.reshape(-1)[::SAMPLE]
        recorded[f"{name}.gradient_norm"] = np.float32(np.linalg.norm(gradient))
    np.savez_compressed(Path(__file__).with_name("timm_reference.npz"), **recorded)


if __name__ == "__main__":
    main()
