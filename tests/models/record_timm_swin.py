"""Records what timm's Swin transformers compute on deterministic weights, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.models.record_timm_swin [CASE ...]
It writes tests/models/timm_swin_reference.npz: for every case samples of the logits, of the last feature map, and of
the gradient of the receptive field's target (the mean over channels of the central token, summed over the batch).
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm

from tests.models import deterministic
from tests.models.deterministic import central_token, sample
from tests.models.swin_cases import CASES, Case

REFERENCE = Path(__file__).with_name("timm_swin_reference.npz")
ARGUMENTS = {
    "image_size": "img_size",
    "width": "embed_dim",
    "depths": "depths",
    "num_heads": "num_heads",
    "window": "window_size",
    "takes_any_size": "dynamic_img_size",
}


def reference(case: Case) -> dict[str, np.ndarray]:
    """Gives samples of the logits, the last feature map and the gradient of the target, float32, and their norms."""
    arguments = {ARGUMENTS[key]: value for key, value in case.changes.items()}
    model = timm.create_model(case.name, num_classes=case.num_classes, **arguments).eval()
    state = {key: torch.from_numpy(deterministic.tensor(key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    images = torch.from_numpy(deterministic.image((case.batch, *case.size, 3))).permute(0, 3, 1, 2).requires_grad_()
    outputs = model.forward_features(images)
    # SwinV2-CR returns channels first.
    features = outputs.permute(0, 2, 3, 1) if case.name.startswith("swinv2_cr") else outputs
    row, column = central_token(tuple(features.shape[1:3]))
    target = features[:, row, column].mean(dim=-1).sum()
    (gradient,) = torch.autograd.grad(target, images, retain_graph=True)
    logits = model.forward_head(outputs)
    results = {"logits": logits, "features": features, "gradient": gradient.permute(0, 2, 3, 1)}
    return {key: sample(value.detach().numpy()) for key, value in results.items()}


def main() -> None:
    """Records the cases that are named, or all."""
    recorded = dict(np.load(REFERENCE)) if REFERENCE.exists() else {}
    for name in sys.argv[1:] or CASES:
        recorded |= {f"{name}.{key}": value for key, value in reference(CASES[name]).items()}
        np.savez_compressed(REFERENCE, **recorded)


if __name__ == "__main__":
    main()
