"""MMDetection's registries, with Python in place of MMCV's compiled operators; needs torch, and no JAX.

pip install --no-deps mmcv-lite==2.1.0 mmdet==3.3.0 mmengine==0.10.7 addict yapf platformdirs terminaltables termcolor
  rich
pip install torch torchvision numpy pyyaml matplotlib scipy pycocotools opencv-python-headless shapely tqdm
"""

import functools
import sys

import torch

from tests.heads import mmcv_operators

torch.set_num_threads(1)
mmcv_operators.install()

# MMDetection leaves open which of equal scores comes first, as in the padding of a batch; here it is the first.
torch.Tensor.sort = functools.partialmethod(torch.Tensor.sort, stable=True)

import mmcv.ops

sys.modules["mmcv.ops.roi_align"].roi_align = mmcv_operators.roi_align
mmcv.ops.roi_align = mmcv_operators.roi_align

from mmengine.registry import init_default_scope

init_default_scope("mmdet")

import mmdet.models
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

__all__ = [
    "MODELS",
    "TASK_UTILS",
    "BitmapMasks",
    "ConfigDict",
    "DetDataSample",
    "InstanceData",
    "RandomSampler",
    "mmdet",
]
