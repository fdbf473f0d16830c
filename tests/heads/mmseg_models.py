"""MMSegmentation's registry of models, without the compiled operators of mmcv; needs torch, and no JAX.

pip install --no-deps mmcv-lite==2.1.0 mmsegmentation==1.2.2 mmengine==0.10.7 addict yapf platformdirs terminaltables
  prettytable termcolor rich ftfy regex
pip install torch numpy pyyaml matplotlib scipy opencv-python-headless tqdm
"""

import sys
import types

import torch

# Lets torchvision load beside a CPU-only torch: its compiled operators are never called here.
_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class _Operators(types.ModuleType):
    """Stands in for mmcv's compiled operators, none of which these models call."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return object()


sys.modules["mmcv._ext"] = _Operators("mmcv._ext")

from mmengine.registry import init_default_scope

init_default_scope("mmseg")

import mmseg.models
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

__all__ = ["MODELS", "SegDataSample", "mmseg"]
