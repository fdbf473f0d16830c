"""Which kernel computes an attention: an explicit rule, and what each kernel can do."""

from dataclasses import dataclass
from typing import Literal

from gauss_vit.errors import ConfigError

Kernel = Literal["reference", "whole", "einsum", "rows", "cudnn"]
KernelChoice = Literal["auto", "reference", "whole", "einsum", "rows", "cudnn"]
Platform = Literal["cpu", "gpu", "tpu"]
"""A platform as `jax.default_backend()` names it."""

SMALLEST_ROWS = 1024
"""Number of patches from which logits of all pairs cost more time and memory than their recomputation."""


@dataclass(frozen=True, kw_only=True)
class AttentionShape:
    """What the choice of a kernel depends on.

    Attributes:
      num_patches: number of patches of an image, or of a window of it.
      prefix_tokens: number of tokens before them.
      has_mask: windows have logits of their own.
      mixes_heads: heads are mixed around the softmax.
      drops_weights: attention weights are dropped in this call.
      has_gaussians: every query has a Gaussian of its own (`position.query_gaussian`).
      head_channels: channels of a head.
      dtype: type of queries, keys and values.
      platform: platform that it is compiled for.
    """

    num_patches: int
    prefix_tokens: int = 0
    has_mask: bool = False
    mixes_heads: bool = False
    drops_weights: bool = False
    has_gaussians: bool = False
    head_channels: int
    dtype: str = "float32"
    platform: Platform = "cpu"


def choose(shape: AttentionShape, wanted: KernelChoice = "auto") -> Kernel:
    """Chooses the kernel.

    `auto` takes the reference where heads are mixed or weights are dropped, rows from 1,024 patches on, and otherwise
    whole on a CPU and einsum elsewhere, but the reference where every query has a Gaussian of its own. It
    never takes cuDNN, which is to be compared with the reference first (see `kernels.cudnn`). Where cuDNN is asked for
    and cannot compute this attention, the choice is that of `auto`, as a config should run on every machine.

    Raises:
      ConfigError: another kernel that is asked for cannot compute this attention.
    """
    if wanted == "cudnn" and not cudnn_obstacle(shape):
        return "cudnn"
    if wanted not in ("auto", "cudnn"):
        obstacle = _obstacle(shape, wanted)
        if obstacle:
            raise ConfigError(f"attention kernel {wanted} cannot be used: {obstacle}", do="choose auto", code="KERNEL")
        return wanted
    if shape.num_patches >= SMALLEST_ROWS and not _obstacle(shape, "rows"):
        return "rows"
    if _obstacle(shape, "whole"):
        return "reference"
    return "whole" if shape.platform == "cpu" else "einsum"


def describe(shape: AttentionShape, wanted: KernelChoice = "auto") -> str:
    """Describes in a few words which kernel computes this attention, and why.

    >>> describe(AttentionShape(num_patches=196, head_channels=64))
    'whole (196 patches, fewer than 1024, on a cpu)'
    """
    kernel = choose(shape, wanted)
    if kernel == "cudnn":
        return "cudnn (it agrees with the reference on this GPU)"
    if wanted == "cudnn":
        return f"{kernel} (not cudnn: {cudnn_obstacle(shape)})"
    if wanted != "auto":
        return f"{kernel} (as configured)"
    if kernel == "reference":
        return f"reference ({_obstacle(shape, 'whole')})"
    if kernel == "rows":
        return f"rows ({shape.num_patches} patches, {SMALLEST_ROWS} or more)"
    if shape.num_patches < SMALLEST_ROWS:
        return f"{kernel} ({shape.num_patches} patches, fewer than {SMALLEST_ROWS}, on a {shape.platform})"
    return f"{kernel} ({_obstacle(shape, 'rows')})"


def cudnn_obstacle(shape: AttentionShape) -> str:
    """Returns why cuDNN cannot compute this attention with a learned bias; "" where it can."""
    obstacle = _obstacle(shape, "rows") or _obstacle(shape, "whole")
    if obstacle:
        return obstacle
    if shape.platform != "gpu":
        return f"it needs a GPU, and this is a {shape.platform}"
    if shape.dtype != "bfloat16":
        return f"the activations are {shape.dtype}, not bfloat16"
    if shape.head_channels % 8 or shape.head_channels > 128:
        return f"{shape.head_channels} channels a head are not a multiple of 8 up to 128"
    return ""


def _obstacle(shape: AttentionShape, kernel: Kernel) -> str:
    """Returns why a kernel of ours cannot compute this attention; "" where it can."""
    if kernel == "reference":
        return ""
    if shape.mixes_heads:
        return "heads are mixed around the softmax"
    if shape.drops_weights:
        return "attention weights are dropped"
    if kernel == "rows":
        return "windows have masks of their own" if shape.has_mask else ""
    return "every query has a Gaussian of its own" if shape.has_gaussians else ""
