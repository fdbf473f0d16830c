"""Records what timm computes on deterministic weights, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.models.record_timm [NAME ...]
It writes tests/models/timm_reference.npz: for every model samples of the logits, of the last feature map, and of the
gradient of the receptive field's target (the mean over channels of the central patch) with respect to the image.
"""

import sys
from pathlib import Path

import numpy as np
import torch

# Lets torchvision load beside a CPU-only torch: its compiled operators are never called here.
_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm

from tests.models import deterministic
from tests.models.deterministic import central_token, image_size_of, sample, split_depth

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
    "vit_relpos_base_patch16_clsgap_224",
    "vit_srelpos_small_patch16_224",
    "vit_srelpos_medium_patch16_224",
    "beit_base_patch16_224",
    "beit_base_patch16_384",
    "beit_large_patch16_224",
    "beit_large_patch16_384",
    "cait_xxs24_224",
    "cait_xxs24_384",
    "cait_s24_224",
    "cait_s24_384",
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
)


def reference(case: str) -> dict[str, np.ndarray]:
    """Returns samples of the logits, the last feature map and the gradient of the target, float32, and their norms."""
    name, changes = split_depth(case)
    model = timm.create_model(name, num_classes=1000, **changes).eval()
    state = {key: torch.from_numpy(deterministic.tensor(key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    size = image_size_of(name)
    images = torch.from_numpy(deterministic.image((1, *size, 3))).permute(0, 3, 1, 2).requires_grad_()
    features = model.forward_features(images)
    patches = features[:, ("cls_token" in state) + ("dist_token" in state) :]
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
