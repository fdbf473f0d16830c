"""Records what timm's XCiTs compute on deterministic weights, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.models.record_timm_xcit [CASE ...]
It writes tests/models/timm_xcit_reference.npz: for every case samples of the logits, of the last feature map, and of
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
from tests.models.xcit_cases import CASES, Case

REFERENCE = Path(__file__).with_name("timm_xcit_reference.npz")


def reference(case: Case) -> dict[str, np.ndarray]:
    """Gives samples of the logits, the last feature map and the gradient of the target, float32, and their norms."""
    model = timm.create_model(case.name, **({} if case.depth is None else {"depth": case.depth})).eval()
    state = {key: torch.from_numpy(deterministic.tensor(key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    images = torch.from_numpy(deterministic.image((case.batch, *case.size, 3))).permute(0, 3, 1, 2).requires_grad_()
    tokens = model.forward_features(images)
    grid = tuple(side // model.patch_embed.patch_size for side in case.size)
    features = tokens[:, 1:].reshape(case.batch, *grid, -1)
    row, column = central_token(grid)
    target = features[:, row, column].mean(dim=-1).sum()
    (gradient,) = torch.autograd.grad(target, images, retain_graph=True)
    results = {"logits": model.forward_head(tokens), "features": features, "gradient": gradient.permute(0, 2, 3, 1)}
    return {key: sample(value.detach().numpy()) for key, value in results.items()}


def main() -> None:
    """Records the cases that are named, or all."""
    recorded = dict(np.load(REFERENCE)) if REFERENCE.exists() else {}
    for name in sys.argv[1:] or CASES:
        recorded |= {f"{name}.{key}": value for key, value in reference(CASES[name]).items()}
        np.savez_compressed(REFERENCE, **recorded)


if __name__ == "__main__":
    main()
