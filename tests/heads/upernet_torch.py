"""Quantities of a UPerNet in PyTorch that are recorded, whichever library made it; needs torch, and no JAX.

They are computed in float64, so that only the rounding of what is compared with them counts.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from tests.heads.upernet_cases import AUXILIARY_WEIGHT, CASES, IGNORED, Case
from tests.models.deterministic import sample, tensor

torch.set_num_threads(1)


class Outputs(NamedTuple):
    """What a library's model computes: maps of the stages after their norms, logits at low resolution, its own loss."""

    maps: Sequence[torch.Tensor]
    logits: torch.Tensor
    auxiliary: torch.Tensor
    loss: torch.Tensor


Run = Callable[[torch.Tensor, torch.Tensor], Outputs]
"""Function from images [batch, 3, height, width] and labels [batch, height, width] to outputs."""


def deterministic_state(shapes: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Values by name for every tensor of a floating type; the others stay as they are."""
    return {
        name: torch.from_numpy(tensor(name, tuple(value.shape))) if value.is_floating_point() else value
        for name, value in shapes.items()
    }


def quantities(run: Run, case: Case) -> dict[str, np.ndarray]:
    """Samples of everything that is compared, by name; arrays with channels have them last.

    Both losses are computed here from the logits; the model's own has to equal one of them, and has the gradient.
    """
    images = torch.from_numpy(case.images()).double().permute(0, 3, 1, 2).contiguous().requires_grad_()
    labels = torch.from_numpy(case.labels().astype(np.int64))
    outputs = run(images, labels)
    losses = _losses(outputs, labels)
    assert min(abs(outputs.loss.item() / loss.item() - 1) for loss in losses.values()) < 1e-5
    (gradient,) = torch.autograd.grad(outputs.loss, images)
    maps = {f"map{index}": value for index, value in enumerate(outputs.maps)}
    found = {**maps, "logits": outputs.logits, "auxiliary": outputs.auxiliary, "gradient": gradient}
    return {
        **{name: sample(value.detach().permute(0, 2, 3, 1).numpy()) for name, value in found.items()},
        **{name: loss.detach().numpy() for name, loss in losses.items()},
    }


def both_modes(model: torch.nn.Module, run: Run, case: Case) -> dict[str, np.ndarray]:
    """Quantities at inference and in training, and the running statistics after one step of training, by name."""
    model.double().eval()
    found = {f"eval.{name}": value for name, value in quantities(run, case).items()}
    model.train()
    found |= {f"train.{name}": value for name, value in quantities(run, case).items()}
    running = {name: value for name, value in model.state_dict().items() if "running" in name}
    return found | {f"after.{name}": sample(value.numpy()) for name, value in running.items()}


def reference(model: torch.nn.Module, state: Mapping[str, torch.Tensor], run: Run, case: Case) -> dict[str, np.ndarray]:
    """Everything that is recorded of a case, by name: the names and shapes of the tensors, and the quantities."""
    shapes = ["x".join(str(size) for size in value.shape) for value in state.values()]
    return {"names": np.array(list(state)), "shapes": np.array(shapes)} | both_modes(model, run, case)


def record(path: Path, reference_of: Callable[[Case], dict[str, np.ndarray]]) -> None:
    """Adds the cases that are named on the command line, or all, to a file of records."""
    recorded = dict(np.load(path)) if path.exists() else {}
    for name in sys.argv[1:] or CASES:
        recorded |= {f"{name}.{key}": value for key, value in reference_of(CASES[name]).items()}
        np.savez_compressed(path, **recorded)


def _losses(outputs: Outputs, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Losses at the size of the labels, divided by the number of all pixels or of those that are not ignored."""
    each = sum(
        weight
        * functional.cross_entropy(
            functional.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False),
            labels,
            ignore_index=IGNORED,
            reduction="none",
        )
        for weight, logits in ((1.0, outputs.logits), (AUXILIARY_WEIGHT, outputs.auxiliary))
    )
    return {"loss_all": each.mean(), "loss_valid": each.sum() / (labels != IGNORED).sum()}
