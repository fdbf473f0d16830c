"""Swin transformers: attention in windows on a pyramid of feature maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.blocks import BlockConfig
from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs, Features, Intermediates
from gauss_vit.models.layers import Init, LayerNorm
from gauss_vit.models.observed import intermediates
from gauss_vit.models.refinement import refine
from gauss_vit.models.stage import Stage, stage_of_block
from gauss_vit.models.tokens import patch_embedding
from gauss_vit.models.window_stage import WindowStage, WindowStageConfig
from gauss_vit.ops.dropout import split_key
from gauss_vit.ops.grid import Grid, covering_grid, grid_of
from gauss_vit.ops.patches import pad_to_patches, patchify
from gauss_vit.ops.windows import halved
from gauss_vit.position.position import Position

_COMPUTE = Compute()
_RATES = ("projection_dropout", "attention_dropout", "stochastic_depth")
_NUM_KEYS = 2


@dataclass(frozen=True, kw_only=True)
class SwinConfig:
    """Config of a Swin transformer without a head; `construct.build` builds the model.

    Every stage but the first halves the map and doubles the width.

    Attributes:
      image_size: Image (height, width) in pixels; must be divisible by the patch size, unless windows are fixed. Fitted
        windows follow from it.
      windows: Rule for the windows of a stage. "fitted", as in timm, for classification: a window is at most as large
        as the stage's map, and is not shifted along a side that it covers; maps are padded after the shift.
        "fixed", as in MMDetection, for dense tasks: windows and shifts are the same on every map, maps are padded
        before the shift, and images may have any size: they are padded to whole patches.
      takes_any_size: Whether, with fitted windows, images may have other sizes that the patch size divides; the windows
        stay the same, and maps that they do not tile are padded.
      patch_size: Patch (height, width) in pixels.
      width: Number of channels in the first stage.
      depths: Number of blocks in each stage.
      num_heads: Number of attention heads in each stage; must divide its width.
      window: Window (height, width) in tokens.
      mlp_ratio: Ratio of the hidden channels of the MLP to the width.
      position: Bias terms and rotary embedding of every block, on the window. Terms in units of the image use the map
        of `image_size`.
      biases: Which of the query, key and value layers have a bias: "all", "none", or "query_value" (SwinV2).
      similarity: Attention logits by dot "product" or by "cosine" (SwinV2).
      norm: Place of normalisation: "before" each residual branch and patch merging, "after" both (SwinV2), or "mixed":
        after each branch and before patch merging (SwinV2-CR).
      stage_norms: Whether the stream is also normalised between stages (`ns`); maps of blocks are read before that.
      norm_epsilon: Constant added to the variance in every normalisation.
      refines_patches: Whether the final tokens attend to each other once more, see `models.refinement` (LocAt).
      start: Initialiser of the dense layers.
      projection_dropout: Dropout rate after the attention's projection and each layer of the MLP; like the rates below,
        for training only.
      attention_dropout: Dropout rate of the attention weights.
      stochastic_depth: Stochastic-depth rate of the last block; it grows linearly from 0 at the first.
      compute: Settings of the computation: dtype, kernels and loops.

    Raises:
      ConfigError: a value is out of range, or two values do not fit together.

    Source: Liu et al., Swin Transformer (ICCV 2021) and Swin Transformer V2 (CVPR 2022); timm `swin_transformer.py`,
    `swin_transformer_v2.py` and `swin_transformer_v2_cr.py`. The Gaussian in windows: Kim et al., BMVC 2023, section 5.
    """

    image_size: tuple[int, int] = (224, 224)
    windows: Literal["fitted", "fixed"] = "fitted"
    takes_any_size: bool = False
    patch_size: tuple[int, int] = (4, 4)
    width: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    window: tuple[int, int]
    mlp_ratio: float = 4.0
    position: Position
    biases: Literal["all", "none", "query_value"]
    similarity: Literal["product", "cosine"]
    norm: Literal["before", "after", "mixed"]
    stage_norms: bool = False
    norm_epsilon: float = 1e-5
    refines_patches: bool = False
    start: Init = "truncated_normal"
    projection_dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    compute: Compute = _COMPUTE

    def __post_init__(self):
        _check_ranges(self)
        if self.position.shared or self.position.absolute is not None:
            raise ConfigError(
                "a Swin has neither shared terms nor an absolute embedding", do="use position.terms alone"
            )
        if len(self.depths) != len(self.num_heads):
            raise ConfigError(f"depths {self.depths} and num_heads {self.num_heads} must be of the same stages")
        self.embedded_grid(self.image_size)
        for index in range(len(self.depths)):
            self.stage(index)

    @property
    def depth(self) -> int:
        """Number of blocks in all stages."""
        return sum(self.depths)

    @property
    def num_features(self) -> int:
        """Number of channels of the pooled features: the width of the last stage."""
        return self.width * 2 ** (len(self.depths) - 1)

    @property
    def class_blocks(self) -> int:
        """Number of blocks that update only a class token: 0."""
        return 0

    @property
    def num_keys(self) -> int:
        """Number of keys that `make` splits its key into."""
        return _NUM_KEYS

    @property
    def dense_init(self) -> Init:
        """Initialiser of dense layers."""
        return self.start

    @property
    def has_position_bias(self) -> bool:
        """Whether position terms are added to attention logits."""
        return bool(self.position.all_terms)

    @property
    def grid(self) -> Grid:
        """The (height, width) of the last map, in its tokens."""
        return self.grid_of_stage(len(self.depths) - 1)

    def embedded_grid(self, image_size: tuple[int, int]) -> Grid:
        """Returns the (height, width) of the map of the first stage, for images of a size.

        Raises:
          ConfigError: windows are fitted, and a side is not divisible by the patch.
        """
        return (covering_grid if self.windows == "fixed" else grid_of)(image_size, self.patch_size)

    def grid_of_stage(self, index: int) -> Grid:
        """Returns the (height, width) of a stage's map, in its tokens."""
        grid = self.embedded_grid(self.image_size)
        for _ in range(index):
            grid = halved(grid)
        return grid

    def stages(self) -> tuple[Stage, ...]:
        """Returns the stages in the order in which they run."""
        return tuple(self.stage(index).stage for index in range(len(self.depths)))

    def stage(self, index: int) -> WindowStageConfig:
        """Returns the config of a stage, counted from 0."""
        grid = self.grid_of_stage(index)
        window, shift = _windows(self, grid)
        attention = AttentionConfig(
            width=self.width * 2**index,
            num_heads=self.num_heads[index],
            grid=window,
            terms=tuple(term.on_image(grid) for term in self.position.terms),
            rotary=self.position.rotary,
            query_gaussian=self.position.query_gaussian,
            biases=self.biases,
            similarity=self.similarity,
            attention_dropout=self.attention_dropout,
            projection_dropout=self.projection_dropout,
            start=self.start,
            compute=self.compute,
        )
        block = BlockConfig(
            attention=attention,
            mlp_ratio=self.mlp_ratio,
            norm="before" if self.norm == "before" else "after",
            norm_epsilon=self.norm_epsilon,
            drops_paths=self.stochastic_depth > 0,
        )
        stage = Stage(
            path=f"backbone.stages.{index}.blocks",
            first=sum(self.depths[:index]),
            depth=self.depths[index],
            model_depth=self.depth,
            grid=grid,
            patch_size=(self.patch_size[0] * 2**index, self.patch_size[1] * 2**index),
            attention=attention,
            shift=shift,
            pads_first=self.windows == "fixed",
        )
        return WindowStageConfig(
            stage=stage,
            block=block,
            merges=index > 0,
            merging_norm="after" if self.norm == "after" else "before",
            norms_entry=self.stage_norms and index > 0,
        )

    def rates(self, index: int) -> Float[np.ndarray, " depth"]:
        """Returns the stochastic-depth rate of each block of a stage."""
        rates = np.linspace(0, self.stochastic_depth, self.depth, dtype=np.float32)
        first = sum(self.depths[:index])
        return rates[first : first + self.depths[index]]

    def make(self, key: PRNGKeyArray) -> "Swin":
        """Builds the model with newly drawn parameters."""
        return Swin(self, key=key)


def _check_ranges(config: SwinConfig) -> None:
    values = vars(config)
    if config.width < 1:
        raise ConfigError(f"width must be at least 1, got {config.width}")
    for name in ("depths", "num_heads", "window"):
        if not values[name] or min(values[name]) < 1:
            raise ConfigError(f"{name} must be at least 1 each, got {values[name]}")
    for name in _RATES:
        if not 0 <= values[name] < 1:
            raise ConfigError(f"{name} must be in [0, 1), got {values[name]}")


def _windows(config: SwinConfig, grid: Grid) -> tuple[Grid, Grid]:
    """Computes the window size on a map, and the shift of every second block."""
    rows, columns = config.window
    if config.windows == "fixed":
        return (rows, columns), (rows // 2, columns // 2)
    window = (min(rows, grid[0]), min(columns, grid[1]))
    return window, (_shift(grid[0], window[0]), _shift(grid[1], window[1]))


def _shift(side: int, window: int) -> int:
    """Returns half a window, or 0 if one window covers the side."""
    return window // 2 if side > window else 0


class StageOutputs(NamedTuple):
    """Outputs of a stage.

    Attributes:
      grid: The (height, width) of its map.
      tokens: Residual stream that leaves it, row by row.
      entering: Residual stream that enters each of its blocks; [0, ...] if not collected.
    """

    grid: Grid
    tokens: Float[Array, "batch tokens channels"]
    entering: Float[Array, "depth batch tokens channels"]


class Swin(nnx.Module):
    """A Swin transformer.

    Parameters: `patch_embed`, `patch_norm`, `stages.<index>.merging` and `stages.<index>.blocks`, stacked over depth,
    and `norm`.
    """

    def __init__(self, config: SwinConfig, *, key: PRNGKeyArray):
        embed_key, stages_key = jax.random.split(key, _NUM_KEYS)
        self.patch_embed = patch_embedding(config.patch_size, config.width, key=embed_key)
        self.patch_norm = LayerNorm(config.width, epsilon=config.norm_epsilon)
        stage_keys = jax.random.split(stages_key, len(config.depths))
        self.stages = nnx.Dict(
            {str(index): WindowStage(config.stage(index), key=stage_keys[index]) for index in range(len(config.depths))}
        )
        self.norm = LayerNorm(config.num_features, epsilon=config.norm_epsilon)
        self.config = config

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the backbone, in the dtype of the activations.

        A key enables dropout and stochastic depth.
        """
        grid, stream, _ = self.run_stages(images, key=key)[-1]
        tokens, config = self.norm(stream), self.config
        if config.refines_patches:
            tokens = refine(tokens, num_heads=config.num_heads[-1], grid=grid, compute=config.compute)
        return Features(
            last=_as_map(tokens, grid),
            pre_norm=_as_map(stream, grid),
            prefix=tokens[:, :0],
            pooled=jnp.mean(tokens, axis=1),
        )

    def maps(
        self,
        images: Float[Array, "batch height width 3"],
        layers: Sequence[int],
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch rows columns channels"], ...]:
        """Computes the output maps of some blocks, counted from 1 through all stages, before the final normalisation.

        Raises:
          ConfigError: there is no such block.
        """
        stages = self.config.stages()
        places = [(layer, stage_of_block(stages, layer)) for layer in layers]
        collects = any(layer < stages[index].last for layer, index in places)
        outputs = self.run_stages(images, key=key, collect=collects)
        found = []
        for layer, index in places:
            stage, output = stages[index], outputs[index]
            tokens = output.tokens if layer == stage.last else output.entering[layer - stage.first]
            found.append(_as_map(tokens, output.grid))
        return tuple(found)

    def block_map(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""], *, stage: int
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map after the first `num_blocks` blocks of a stage, without dropout.

        Args:
          images: Normalised images.
          num_blocks: Number of blocks of the stage to run, from 1 to its depth; earlier stages run in full.
          stage: Index of the stage, from 0.
        """
        stream, grid = self.embed(images), self._embedded_grid(images)
        for index in range(stage + 1):
            holder = self.stages[str(index)]
            stream, grid = holder.enter(stream, grid)
            num_run = num_blocks if index == stage else jnp.int32(holder.config.stage.depth)
            stream = holder.run_first(stream, num_run, grid=grid)
        return _as_map(stream, grid)

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates, ...]:
        """Computes the intermediate arrays of every block, by stage; the batch of attention is images by windows."""
        return tuple(
            intermediates(
                self.stages[str(index)].attention_inputs(output.entering, grid=output.grid),
                output.entering,
                output.tokens,
            )
            for index, output in enumerate(self.run_stages(images, collect=True))
        )

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Computes the inputs of the attention of every block; blocks of a stage with equal windows are one group."""
        return tuple(
            group
            for index, output in enumerate(self.run_stages(images, collect=True))
            for group in self.stages[str(index)].attention_inputs(output.entering, grid=output.grid)
        )

    def embed(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch tokens channels"]:
        """Embeds and normalises the patches.

        Raises:
          ConfigError: windows are fitted, and the images are not of the model's size, or not of whole patches.
        """
        config = self.config
        if config.windows == "fixed":
            images = pad_to_patches(images, config.patch_size)
        elif images.shape[1:3] != config.image_size and not config.takes_any_size:
            raise ConfigError(
                f"the model takes images of {config.image_size}, got {images.shape[1:3]}",
                do="set image_size, or takes_any_size to keep the windows",
            )
        return self.patch_norm(self.patch_embed(patchify(images.astype(config.compute.dtype), config.patch_size)))

    def run_stages(
        self,
        images: Float[Array, "batch height width 3"],
        *,
        key: PRNGKeyArray | None = None,
        collect: bool = False,
    ) -> tuple[StageOutputs, ...]:
        """Runs all stages; with `collect` also returns the residual stream that enters each block."""
        stream = self.embed(images)
        grid = self._embedded_grid(images)
        outputs = []
        for index, stage_key in enumerate(split_key(key, len(self.config.depths))):
            stage = self.stages[str(index)]
            stream, grid = stage.enter(stream, grid)
            rates = jnp.asarray(self.config.rates(index))
            stream, entering = stage.scan_blocks(stream, grid=grid, rates=rates, key=stage_key, collect=collect)
            outputs.append(StageOutputs(grid=grid, tokens=stream, entering=entering))
        return tuple(outputs)

    def _embedded_grid(self, images: Float[Array, "batch height width 3"]) -> Grid:
        return self.config.embedded_grid((images.shape[1], images.shape[2]))


def _as_map(tokens: Float[Array, "batch tokens channels"], grid: Grid) -> Float[Array, "batch rows columns channels"]:
    return tokens.reshape(tokens.shape[0], *grid, tokens.shape[2])
