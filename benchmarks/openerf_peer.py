"""OpenERF in its own interpreter: `benchmarks.erf` starts it, and asks for one measurement a line.

It answers every line `files` or `compute` with the seconds of a run over all images, as JSON: by the clock and of the
processor. It needs torch, torchvision, timm and openerf.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch

# Lets torchvision load beside a CPU-only torch: its compiled operators are never called here.
_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import openerf
import timm
from openerf import erf as core
from openerf.data import FlatImageDataset, build_timm_eval_transform


def main() -> None:
    """Serves measurements until its input ends."""
    name, folder, num_threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(num_threads)
    model = timm.create_model(name).eval()
    transform, _ = build_timm_eval_transform(model)
    images = [image[None] for image, _ in FlatImageDataset(folder, transform)]

    def from_files() -> None:
        openerf.compute_erf(model, model_name=name, image_dir=folder, target_layer="norm", show_progress=False)

    def from_memory() -> None:
        total = torch.zeros(images[0].shape[2:])
        for image in images:
            inputs = image.clone().requires_grad_()
            total += core._compute_positive_input_gradients_from_layer(model, inputs, model.norm, "norm")

    runs = {"files": from_files, "compute": from_memory}
    for line in sys.stdin:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        runs[line.strip()]()
        answer = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
