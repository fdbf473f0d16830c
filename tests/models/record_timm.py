"""Records what timm computes on deterministic weights, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.models.record_timm [NAME ...]
It writes tests/models/timm_reference.npz: for every model samples of the logits, of the last feature map, and of the
gradient of the receptive field's target (the mean over channels of the central patch) with respect to the image.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm

from tests.models import deterministic
from tests.models.deterministic import central_token, sample, split_case

REFERENCE = Path(__file__).with_name("timm_reference.npz")
NAMES = (
    "vit_small_patch8_224",
    "vit_small_patch16_224",
    "vit_small_patch16_384",
    "vit_small_patch32_224",
    "vit_small_patch32_384",
    "vit_base_patch8_224",
    "vit_base_patch16_224",
    "vit_base_patch16_384",
    "vit_base_patch32_224",
    "vit_base_patch32_384",
    "vit_large_patch16_224",
    "vit_large_patch16_384",
    "vit_large_patch32_224",
    "vit_large_patch32_384",
    "deit_tiny_patch16_224",
    "deit_small_patch16_224",
    "deit_base_patch16_224",
    "deit_base_patch16_384",
    "deit_tiny_distilled_patch16_224",
    "deit_small_distilled_patch16_224",
    "deit_base_distilled_patch16_224",
    "deit_base_distilled_patch16_384",
    "deit3_small_patch16_224",
    "deit3_small_patch16_384",
    "deit3_base_patch16_224",
    "deit3_base_patch16_384",
    "deit3_large_patch16_224",
    "deit3_large_patch16_384",
    "vit_relpos_small_patch16_224",
    "vit_relpos_medium_patch16_224",
    "vit_relpos_base_patch16_224",
    "vit_relpos_medium_patch16_cls_224",
    "vit_relpos_base_patch16_cls_224",
    "vit_relpos_base_patch16_clsgap_224",
    "vit_relpos_base_patch16_plus_240",
    "vit_relpos_base_patch32_plus_rpn_256",
    "vit_relpos_small_patch16_rpn_224",
    "vit_relpos_medium_patch16_rpn_224",
    "vit_relpos_base_patch16_rpn_224",
    "vit_srelpos_small_patch16_224",
    "vit_srelpos_medium_patch16_224",
    "beit_base_patch16_224",
    "beit_base_patch16_384",
    "beit_large_patch16_224",
    "beit_large_patch16_384",
    "cait_xxs24_224",
    "cait_xxs24_384",
    "cait_xxs36_224",
    "cait_xxs36_384",
    "cait_s24_224",
    "cait_s24_384",
    "vit_small_patch14_dinov2",
    "vit_base_patch14_dinov2",
    "vit_large_patch14_dinov2 at depth 4",
    "vit_giant_patch14_dinov2 at depth 2",
    "vit_small_patch14_reg4_dinov2",
    "vit_base_patch14_reg4_dinov2",
    "vit_large_patch14_reg4_dinov2 at depth 4",
    "vit_giant_patch14_reg4_dinov2 at depth 2",
    "eva02_tiny_patch14_224",
    "eva02_tiny_patch14_336",
    "eva02_small_patch14_224",
    "eva02_small_patch14_336",
    "eva02_base_patch14_224",
    "eva02_base_patch14_448 at depth 4",
    "eva02_large_patch14_224 at depth 4",
    "eva02_large_patch14_448 at depth 2",
    "vit_tiny_patch16_dinov3_qkvb",
    "vit_small_patch16_dinov3",
    "vit_small_patch16_dinov3_qkvb",
    "vit_small_plus_patch16_dinov3",
    "vit_small_plus_patch16_dinov3_qkvb",
    "vit_base_patch16_dinov3",
    "vit_base_patch16_dinov3_qkvb",
    "vit_large_patch16_dinov3 at depth 4",
    "vit_large_patch16_dinov3_qkvb at depth 4",
    "vit_huge_plus_patch16_dinov3 at depth 2",
    "vit_huge_plus_patch16_dinov3_qkvb at depth 2",
    "vit_7b_patch16_dinov3 at depth 1",
    "vit_xsmall_patch16_clip_224",
    "vit_medium_patch32_clip_224",
    "vit_medium_patch16_clip_224",
    "vit_betwixt_patch32_clip_224",
    "vit_base_patch32_clip_224",
    "vit_base_patch32_clip_256",
    "vit_base_patch32_clip_384",
    "vit_base_patch32_clip_448",
    "vit_base_patch16_clip_224",
    "vit_base_patch16_clip_384",
    "vit_base_patch16_plus_clip_240",
    "vit_large_patch14_clip_224",
    "vit_large_patch14_clip_336 at depth 4",
    "vit_huge_patch14_clip_224 at depth 2",
    "vit_huge_patch14_clip_336 at depth 2",
    "vit_huge_patch14_clip_378 at depth 2",
    "vit_giant_patch14_clip_224 at depth 2",
    "vit_gigantic_patch14_clip_224 at depth 2",
    "vit_gigantic_patch14_clip_378 at depth 2",
    "vit_base_patch32_clip_quickgelu_224",
    "vit_base_patch16_clip_quickgelu_224",
    "vit_large_patch14_clip_quickgelu_224 at depth 4",
    "vit_large_patch14_clip_quickgelu_336 at depth 4",
    "vit_huge_patch14_clip_quickgelu_224 at depth 2",
    "vit_huge_patch14_clip_quickgelu_378 at depth 2",
    "vit_gigantic_patch14_clip_quickgelu_224 at depth 2",
    "vit_base_patch32_siglip_256",
    "vit_base_patch16_siglip_224",
    "vit_base_patch16_siglip_256",
    "vit_base_patch16_siglip_384",
    "vit_base_patch16_siglip_512",
    "vit_large_patch16_siglip_256 at depth 4",
    "vit_large_patch16_siglip_384 at depth 4",
    "vit_large_patch16_siglip_512 at depth 2",
    "vit_so400m_patch14_siglip_224 at depth 4",
    "vit_so400m_patch14_siglip_378 at depth 2",
    "vit_so400m_patch16_siglip_256 at depth 2",
    "vit_so400m_patch16_siglip_384 at depth 2",
    "vit_so400m_patch16_siglip_512 at depth 2",
    "vit_giantopt_patch16_siglip_256 at depth 2",
    "vit_giantopt_patch16_siglip_384 at depth 2",
    "vit_base_patch32_siglip_gap_256",
    "vit_base_patch16_siglip_gap_224",
    "vit_base_patch16_siglip_gap_256",
    "vit_base_patch16_siglip_gap_384",
    "vit_base_patch16_siglip_gap_512",
    "vit_large_patch16_siglip_gap_256 at depth 4",
    "vit_large_patch16_siglip_gap_384 at depth 4",
    "vit_large_patch16_siglip_gap_512 at depth 2",
    "vit_so400m_patch14_siglip_gap_224 at depth 4",
    "vit_so400m_patch14_siglip_gap_378 at depth 2",
    "vit_so400m_patch16_siglip_gap_256 at depth 2",
    "vit_so400m_patch16_siglip_gap_384 at depth 2",
    "vit_so400m_patch16_siglip_gap_512 at depth 2",
    "vit_giantopt_patch16_siglip_gap_256 at depth 2",
    "vit_giantopt_patch16_siglip_gap_384 at depth 2",
    "vit_so400m_patch14_siglip_gap_448 at depth 2",
    "vit_so400m_patch14_siglip_gap_896 at depth 1",
    # One of each kind with few blocks, for the tests that run every time.
    "vit_small_patch16_224 at depth 2",
    "vit_base_patch32_384 at depth 2",
    "deit_tiny_distilled_patch16_224 at depth 2",
    "deit3_small_patch16_224 at depth 2",
    "vit_relpos_small_patch16_224 at depth 2",
    "vit_relpos_medium_patch16_cls_224 at depth 2",
    "vit_relpos_base_patch16_clsgap_224 at depth 2",
    "vit_srelpos_small_patch16_224 at depth 2",
    "beit_base_patch16_224 at depth 2",
    "cait_xxs24_224 at depth 2",
    "vit_relpos_small_patch16_rpn_224 at depth 2",
    "vit_small_patch14_dinov2 at depth 2 on 98 px",
    "vit_small_patch14_reg4_dinov2 at depth 2 on 98 px",
    "vit_giant_patch14_reg4_dinov2 at depth 1 on 98 px",
    "vit_base_patch32_clip_quickgelu_224 at depth 2",
    "vit_base_patch16_siglip_224 at depth 2",
    "vit_base_patch32_siglip_256 at depth 2",
    "eva02_small_patch14_224 at depth 2 on 98 px",
    "eva02_base_patch14_224 at depth 2 on 98 px",
    "vit_small_patch16_dinov3_qkvb at depth 2 on 112 px",
    "vit_small_plus_patch16_dinov3 at depth 2 on 112 px",
)


def reference(case: str) -> dict[str, np.ndarray]:
    """Returns samples of the logits, the last feature map and the gradient of the target, float32, and their norms."""
    name, depth, side = split_case(case)
    model = timm.create_model(name, num_classes=1000, depth=depth, img_size=side).eval()
    state = {key: torch.from_numpy(deterministic.tensor(key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    size = model.patch_embed.img_size
    images = torch.from_numpy(deterministic.image((1, *size, 3))).permute(0, 3, 1, 2).requires_grad_()
    features = model.forward_features(images)
    num_registers = state["reg_token"].shape[1] if "reg_token" in state else 0
    patches = features[:, ("cls_token" in state) + ("dist_token" in state) + num_registers :]
    grid = (size[0] // model.patch_embed.patch_size[0], size[1] // model.patch_embed.patch_size[1])
    target = patches.reshape(1, *grid, -1)[0][central_token(grid)].mean()
    (gradient,) = torch.autograd.grad(target, images, retain_graph=True)
    logits = model.forward_head(features)
    results = {"logits": logits, "features": patches, "gradient": gradient.permute(0, 2, 3, 1)}
    return {key: sample(value.detach().numpy()) for key, value in results.items()}


def main() -> None:
    """Records the models that are named, or all."""
    recorded = dict(np.load(REFERENCE)) if REFERENCE.exists() else {}
    for name in sys.argv[1:] or NAMES:
        recorded |= {f"{name}.{key}": value for key, value in reference(name).items()}
        np.savez_compressed(REFERENCE, **recorded)


if __name__ == "__main__":
    main()
