"""Lets torchvision load beside a torch of another build, in scripts that run where torch is installed."""

import importlib

import torch

_MADE: list[torch.library.Library] = []


def load_torchvision() -> None:
    """Imports torchvision; call it before the import of whatever uses it.

    A torchvision that is built for CUDA, beside a torch that is not, misses its own operators as it loads. They are
    never called here, so that to declare them is enough. One that brings them would abort the process if they were
    declared already: it is tried first.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _MADE.append(library)
        importlib.import_module("torchvision")
