"""The models equal timm's on the same weights: logits, last feature map, and gradient of the receptive field's target.

Every kind of model runs with few blocks, most of them at timm's own widths and image sizes; the full tier runs them
at full depth, and kinds once more that differ in sizes alone.
`python -m tests.models.parity` measures every model.
"""

import pytest

from tests.models import parity

FEW_BLOCKS = tuple(name for name in parity.NAMES if " at depth " in name or " with few blocks" in name)
TINY = tuple(name for name in parity.NAMES if name.startswith("tiny "))
RECTANGLE = "xcit_tiny_12_p8_224 on a rectangle"
# Too wide for the default tier, but for a case of few patches.
WIDE = tuple(
    name
    for name in FEW_BLOCKS
    if any(size in name for size in ("large", "huge", "gian", "gigantic", "so400m", "_7b_")) and " px" not in name
)
# In the default tier windows are padded in version 1 and cut in version 2, and registers stand beside SwiGLU alone.
OF_A_KIND = (
    "vit_small_patch14_dinov2 at depth 2 on 98 px",
    "vit_small_patch14_reg4_dinov2 at depth 2 on 98 px",
    "vit_base_patch16_siglip_224 at depth 2",
    "eva02_small_patch14_224 at depth 2 on 98 px",
    "vit_small_patch16_dinov3_qkvb at depth 2 on 112 px",
    "vit_base_patch32_384 at depth 2",
    "swinv2_small_window8_256 with few blocks",
    "tiny with cut windows",
    "tiny v2 with padding",
    "swinv2_cr_tiny_ns_224 with few blocks",
    "tiny cr with padding",
)
FULL = (
    *OF_A_KIND,
    *WIDE,
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "vit_large_patch16_224",
    "vit_base_patch32_384",
    "deit_tiny_patch16_224",
    "deit_base_distilled_patch16_224",
    "deit_base_distilled_patch16_384",
    "deit3_small_patch16_224",
    "vit_relpos_small_patch16_224",
    "vit_relpos_medium_patch16_224",
    "vit_relpos_base_patch16_224",
    "vit_relpos_medium_patch16_cls_224",
    "vit_relpos_base_patch16_clsgap_224",
    "vit_relpos_base_patch32_plus_rpn_256",
    "vit_srelpos_small_patch16_224",
    "beit_base_patch16_224",
    "cait_xxs24_224",
    "cait_xxs36_224",
    "vit_small_patch14_reg4_dinov2",
    "vit_base_patch16_clip_quickgelu_224",
    "vit_base_patch16_siglip_224",
    "eva02_small_patch14_224",
    "eva02_base_patch14_224",
    "vit_small_plus_patch16_dinov3",
    "swin_tiny_patch4_window7_224",
    "swin_small_patch4_window7_224",
    "swinv2_small_window8_256",
    "swin_tiny_patch4_window7_224 on a rectangle",
    "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_ns_224",
    "xcit_tiny_12_p16_224",
)


DEFAULT = tuple(name for name in (*FEW_BLOCKS, *TINY, RECTANGLE) if name not in (*OF_A_KIND, *WIDE))


@pytest.mark.parametrize("name", [*DEFAULT, *(pytest.param(name, marks=pytest.mark.full) for name in FULL)])
def test_model_equals_timms(name):
    # Two float32 programs of twelve to twenty-four blocks differ by about 1e-6 of the norm; cosines times a hundred
    # cost SwinV2 another digit.
    for quantity, error in parity.relative_errors(name).items():
        assert error < 1e-4, quantity
