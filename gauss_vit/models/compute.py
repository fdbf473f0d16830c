"""How a model is computed: what changes its speed and its rounding, and not what it is."""

from dataclasses import dataclass
from typing import Literal

from gauss_vit.errors import ConfigError
from gauss_vit.kernels.choice import KernelChoice, Platform

ActivationType = Literal["float32", "bfloat16"]

Remat = Literal["none", "dots", "full"]
"""What the backward pass recomputes of a block: nothing, all but its dense layers, or all of it."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """How a model is computed.

    Attributes:
      dtype: type of the activations; parameters, statistics and logits are float32.
      kernel: what computes attention: chosen by the rule of `kernels.choice` ("auto"), or "reference", "whole",
        "einsum", "rows" or "cudnn".
      remat: what the backward pass recomputes: nothing ("none"), all but the dense layers ("dots"), or whole blocks
        ("full"). A CPU needs the loop for it, so an `unroll` below the depth.
      unroll: number of blocks that are compiled one by one in the scan over blocks, or over the blocks of a stage; the
        depth compiles longer and saves the loop. Where windows are shifted it is two at least. None is as few as can be
        in float32 on a CPU or where something is recomputed, and otherwise the depth.
      platform: platform that kernels and loops are chosen for. The commands set it to the one that they run on,
        whatever a config says (`assembly.device`).

    Raises:
      ConfigError: `unroll` is out of range.
    """

    dtype: ActivationType = "float32"
    kernel: KernelChoice = "auto"
    remat: Remat = "none"
    unroll: int | None = None
    platform: Platform = "cpu"

    def __post_init__(self):
        if self.unroll is not None and self.unroll < 1:
            raise ConfigError(f"unroll must be at least 1, got {self.unroll}")
