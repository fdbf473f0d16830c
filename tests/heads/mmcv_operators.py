"""Lets MMCV's libraries run beside a CPU-only torch and without compiled operators; needs torch, and no JAX.

Two of the operators are given here, in Python; the others are never called.
"""

import math
import sys
import types

import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int) -> torch.Tensor:
    """Returns the indices of the boxes x0 y0 x1 y1 that stay, by falling score; of equal ones the first comes first."""
    assert offset == 0
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, kept = torch.argsort(scores, descending=True, stable=True), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        sides = torch.minimum(boxes[best, 2:], boxes[left, 2:]) - torch.maximum(boxes[best, :2], boxes[left, :2])
        shared = sides.clamp(min=0).prod(dim=1)
        left = left[~(shared / (area[best] + area[left] - shared) > iou_threshold)]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)


def roi_align(
    features: torch.Tensor,
    rois: torch.Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: str,
    aligned: bool,
) -> torch.Tensor:
    """Averages bilinear samples in every bin of boxes (image, x0, y0, x1, y1): one matrix for rows, one for columns."""
    assert (sampling_ratio, pool_mode, aligned) == (0, "avg", True)
    bins_y, bins_x = (output_size, output_size) if isinstance(output_size, int) else output_size
    height, width = features.shape[2:]
    # In float32, as the kernel.
    scaled = (rois[:, 1:].detach() * spatial_scale - 0.5).double().tolist()
    found = [features.new_zeros(0, features.shape[1], bins_y, bins_x)]
    for image, (x0, y0, x1, y1) in zip(rois[:, 0].long(), scaled, strict=True):
        rows, columns = _mean_weights(y0, y1, bins_y, height), _mean_weights(x0, x1, bins_x, width)
        found.append(torch.einsum("chw,yh,xw->cyx", features[image], rows.to(features), columns.to(features))[None])
    return torch.cat(found)


def _mean_weights(low: float, high: float, bins: int, size: int) -> torch.Tensor:
    """Returns the share of every cell in the mean of each bin's samples, as many as a bin has cells, rounded up."""
    number = math.ceil((high - low) / bins)
    weights = torch.zeros(bins, size, dtype=torch.float64)
    for index in range(bins * number):
        at = low + (index + 0.5) * (high - low) / (bins * number)
        if -1 <= at <= size:
            below = min(int(max(at, 0)), size - 1)
            above, fraction = min(below + 1, size - 1), min(max(at, 0), size - 1) - below
            weights[index // number, below] += (1 - fraction) / number
            weights[index // number, above] += fraction / number
    return weights


class _Operators(types.ModuleType):
    """Stands in for MMCV's compiled operators."""

    nms = staticmethod(nms)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return object()


def install() -> None:
    """Makes the next import of MMCV find these operators."""
    sys.modules["mmcv._ext"] = _Operators("mmcv._ext")
