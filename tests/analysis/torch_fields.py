"""Receptive fields of PyTorch modules through torchax, beside torch's own automatic differentiation.

Runs the two examples of docs/library.md, a ResNet-18 and a ViT of timm with random weights, and compares their maps
with gradients that torch computes. It needs the extra `torch`:

    python -m tests.analysis.torch_fields
"""

import re
import sys
from pathlib import Path

import numpy as np
import torch

from gauss_vit.analysis import ErfMap

DOCUMENT = Path(__file__).parents[2] / "docs" / "library.md"
SECTION = "## The receptive field of a PyTorch model"
LIMIT = 1e-4
"""Largest difference relative to the largest value: two libraries sum some 10^5 float32 products in other orders."""


def examples() -> tuple[str, ...]:
    """Returns the code blocks of the document's section."""
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition(SECTION)
    return tuple(re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], flags=re.DOTALL))


def run(code: str, images: np.ndarray) -> tuple[torch.nn.Module, ErfMap]:
    """Runs an example on images; returns its module and its field."""
    namespace: dict[str, object] = {"images": images}
    torch.manual_seed(0)
    exec(compile(code, str(DOCUMENT), "exec"), namespace)
    return namespace["module"], namespace["field"]


def by_torch(module: torch.nn.Module, images: np.ndarray, field: ErfMap) -> np.ndarray:
    """Computes the paper's map of the same token by torch: [height, width], with sum 1."""
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).requires_grad_()
    found = module(pixels)
    if found.ndim == 3:
        rows, columns = field.grid
        found = found[:, -rows * columns :].transpose(1, 2).reshape(len(images), -1, rows, columns)
    row, column = field.token
    (gradient,) = torch.autograd.grad(found[:, :, row, column].mean(dim=1).sum(), pixels)
    total = gradient.double().mean(dim=1).clamp(min=0).sum(dim=0)
    return (total / total.sum()).numpy()


def difference(code: str) -> tuple[ErfMap, float]:
    """Measures an example; returns its field and the largest difference from torch's, relative to the largest value."""
    images = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype(np.float32)
    module, field = run(code, images)
    expected = by_torch(module, images, field)
    return field, float(np.abs(field.values - expected).max() / expected.max())


def main() -> int:
    """Writes a line for each example; returns 1 if one differs."""
    status = 0
    for code in examples():
        field, found = difference(code)
        sys.stdout.write(f"grid {field.grid}, token {field.token}: largest relative difference {found:.1e}\n")
        status |= found > LIMIT
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
