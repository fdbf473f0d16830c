"""What the peers that need torch share: a torchvision that loads, and an answer for every line.

A peer answers each line with the seconds of a run, as JSON: by the clock and of the processor; and the line `versions`
with those of its packages.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata

import torch

try:
    import torchvision
except RuntimeError:
    if torch.version.cuda is not None:
        raise
    # A torchvision that is built for CUDA, beside a torch that is not, misses its own operators as it loads. They are
    # never called here. One that brings them would abort the process if they were declared already.
    _LIBRARY = torch.library.Library("torchvision", "DEF")
    _LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

VERSIONS = "versions"
"""The line that asks for versions, as `process.Peer` sends it."""


def synchronize() -> None:
    """Waits for everything that the device was asked for."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Says what the peer is made of, torch and torchvision included, and on a GPU where it runs."""
    found = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    found |= {name: metadata.version(name) for name in packages}
    if DEVICE.type == "cuda":
        found |= {"cuDNN": str(torch.backends.cudnn.version()), "device": torch.cuda.get_device_name()}
    return found


def timed(run: Callable[[], object]) -> dict[str, float]:
    """Times a run until the device has done it."""
    synchronize()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    run()
    synchronize()
    return {"wall": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu}


def serve(measure: Callable[[str], dict[str, float]], *, packages: Sequence[str]) -> None:
    """Answers lines until the input ends.

    Args:
      measure: from a line to the seconds of its run.
      packages: those besides torch and torchvision that count.
    """
    for line in sys.stdin:
        case = line.strip()
        answer = versions(packages) if case == VERSIONS else measure(case)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
