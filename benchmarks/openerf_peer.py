"""OpenERF in its own interpreter: `benchmarks.erf` starts it, and asks for one measurement a line.

It answers every line `files` or `compute` with the seconds of a run over all images, as JSON: by the clock and of the
processor. On a GPU model, images and sums lie there, and products are TF32's as ours are; what a first run costs there
is not counted. It needs torch, torchvision, timm and openerf.
"""

import os
import sys
from pathlib import Path

import torch

from benchmarks import torch_peer
from benchmarks.torch_peer import DEVICE

# Behind torch_peer, which lets them load.
import openerf  # isort: skip
import timm  # isort: skip
from openerf import erf as core  # isort: skip
from openerf.data import FlatImageDataset, build_timm_eval_transform  # isort: skip


def sum_of_maps(model: torch.nn.Module, images: list[torch.Tensor]) -> torch.Tensor:
    """OpenERF's loop over images in memory; the sum is on the host, so that it is there when this returns."""
    total = torch.zeros(images[0].shape[2:], device=DEVICE)
    for image in images:
        inputs = image.clone().requires_grad_()
        total += core._compute_positive_input_gradients_from_layer(model, inputs, model.norm, "norm")
    return total.cpu()


def main() -> None:
    """Serves measurements until its input ends."""
    name, folder, num_threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(num_threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    model = timm.create_model(name).eval().to(DEVICE)
    transform, _ = build_timm_eval_transform(model)
    images = [image[None].to(DEVICE) for image, _ in FlatImageDataset(folder, transform)]
    files = {
        "model_name": name,
        "image_dir": folder,
        "target_layer": "norm",
        "device": DEVICE,
        "show_progress": False,
    }
    runs = {
        "files": lambda: openerf.compute_erf(model, **files),
        "compute": lambda: sum_of_maps(model, images),
    }
    sum_of_maps(model, images[:2])
    torch_peer.serve(lambda kind: torch_peer.timed(runs[kind]), packages=("timm", "openerf"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
