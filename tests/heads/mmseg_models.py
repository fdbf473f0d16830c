"""MMSegmentation's registry of models, without the compiled operators of MMCV; needs torch, and no JAX.

pip install --no-deps mmcv-lite==2.1.0 mmsegmentation==1.2.2 mmengine==0.10.7 addict yapf platformdirs terminaltables
  prettytable termcolor rich ftfy regex
pip install torch numpy pyyaml matplotlib scipy opencv-python-headless tqdm
"""

from tests.heads import mmcv_operators

mmcv_operators.install()

from mmengine.registry import init_default_scope

init_default_scope("mmseg")

import mmseg.models
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

__all__ = ["MODELS", "SegDataSample", "mmseg"]
