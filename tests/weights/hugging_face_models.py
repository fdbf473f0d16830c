"""The models of hugging_face_arguments.py as configs of this package."""

import dataclasses

from gauss_vit.models.presets.swin import SWIN_TINY
from gauss_vit.models.presets.vit import VIT_SMALL

VIT = dataclasses.replace(
    VIT_SMALL,
    image_size=(32, 48),
    patch_size=(8, 8),
    width=24,
    depth=3,
    num_heads=2,
    norm_epsilon=1e-12,
)
DEIT = dataclasses.replace(VIT, image_size=(32, 32), distillation_token=True)
SWIN = dataclasses.replace(
    SWIN_TINY, image_size=(64, 64), width=12, depths=(2, 3, 1), num_heads=(2, 3, 4), window=(4, 4)
)
CONFIGS = {"vit": VIT, "deit": DEIT, "swin": SWIN}
