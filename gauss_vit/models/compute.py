"""Settings that change the speed and the rounding of a model, but not the function that it computes."""

from dataclasses import dataclass
from typing import Literal

from gauss_vit.errors import ConfigError
from gauss_vit.kernels.choice import KernelChoice, Platform

ActivationType = Literal["float32", "bfloat16"]

Remat = Literal["none", "dots", "full"]
"""What the backward pass recomputes in a block: nothing, all but its dense layers, or all of it."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Settings of the computation: dtype, kernels and loops.

    Attributes:
      dtype: Type of the activations; parameters, statistics and logits are float32.
      kernel: Implementation of attention: chosen by the rule of `kernels.choice` ("auto"), or "reference", "whole",
        "einsum", "rows" or "cudnn".
      remat: What the backward pass recomputes: nothing ("none"), all but the dense layers ("dots"), or whole blocks
        ("full"). On a CPU it only saves memory with an `unroll` below the depth.
      unroll: Number of blocks in one iteration of the loop over blocks, or over the blocks of a stage; at least 2 are
        used with shifted windows. The depth takes longer to compile but needs no loop. None chooses the smallest number
        in float32 on a CPU or with rematerialisation, and the depth otherwise.
      platform: Platform that kernels and loops are chosen for. The commands replace it by the platform they run on
        (`assembly.device`).

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
