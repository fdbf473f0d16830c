"""`report`: one HTML file in which one clicks a patch and sees its receptive field, position bias and attention."""

from pathlib import Path

import jax
import numpy as np

from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import ErfProtocol, protocol_named
from gauss_vit.commands.command import Invocation, say
from gauss_vit.commands.model_source import NamedModel, named_model
from gauss_vit.commands.report_reader import (
    Photo,
    attention_start,
    fields_of_all_patches,
    layers_of,
    photos_in,
    photos_of_run,
    shown_images,
)
from gauss_vit.commands.result_files import write_text
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.plots.explorer import Explorer, cells_per_patch, render


def run(invocation: Invocation) -> None:
    """Writes the page to `--out`. Without `--images`, those of the run's own observers are used.

    Raises:
      ConfigError: a flag is wrong or missing, or the receptive field is not defined.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the page cannot be written.
    """
    out, protocol = invocation.path("out"), protocol_named(invocation.text("protocol"))
    named = named_model(invocation)
    photos = _photos(invocation, named)
    num_shown = invocation.integer("show_images") or 1
    explorer = explore(
        named, photos, protocol=protocol, num_shown=num_shown, batch_size=invocation.integer("batch_size") or 1
    )
    page = render(explorer)
    write_text(out, page)
    say(f"{out}: {len(explorer.fields)} patches, {len(photos)} images, {len(page.encode()) / 1e6:.1f} MB")


def explore(
    named: NamedModel, photos: tuple[Photo, ...], *, protocol: ErfProtocol, num_shown: int, batch_size: int
) -> Explorer:
    """Measures all that the page shows.

    Args:
      named: the model.
      photos: over which receptive fields are averaged.
      protocol: how a field is defined.
      num_shown: how many of the first images can be looked at.
      batch_size: images in one pass.

    Raises:
      ConfigError: the receptive field is not defined.
    """
    fields = fields_of_all_patches(named, photos, protocol=protocol, batch_size=batch_size)
    config = named.config
    return Explorer(
        model=named.name,
        step=named.step,
        num_parameters=sum(leaf.size for leaf in jax.tree.leaves(named.params)),
        image_size=config.image_size,
        prefix_tokens=config.prefix_tokens if isinstance(config, ViTConfig) else 0,
        fields=fields,
        fits=fit_receptive_fields(np.stack([field.values for field in fields])),
        layers=layers_of(named),
        images=tuple(shown_images(named, photos[:num_shown])),
        notes=_notes(config, num_shown=min(num_shown, len(photos)), num_images=len(photos)),
    )


def _photos(invocation: Invocation, named: NamedModel) -> tuple[Photo, ...]:
    most = invocation.integer("max_images")
    if invocation.is_given("workdir") and not invocation.is_given("images"):
        return photos_of_run(Path(invocation.path("workdir")), most=most)
    return photos_in(invocation.path("images"), named, most=most)


def _notes(config: ViTConfig | SwinConfig, *, num_shown: int, num_images: int) -> tuple[str, ...]:
    """Says how the maps came about and what is left out."""
    cells = cells_per_patch(config.image_size, config.grid)
    side = config.image_size[0] // config.grid[0] // cells
    means = "pixel by pixel" if side == 1 else f"as means over {side} px"
    notes = [
        f"Receptive fields are averaged over {num_images} images, measured in pixels, and shown {means}."
        f" Their numbers are of the full resolution; shifts and radii are from the centre of the patch.",
        "Field and attention have 256 levels, even in the square root, from 0 to the largest value of each map.",
        "The mean distance weighs the distances from this patch to all patches by its attention on them.",
    ]
    if num_shown < num_images:
        notes.append(f"The first {num_shown} of the {num_images} images can be looked at.")
    if isinstance(config, SwinConfig):
        notes.append(_windows_note(config))
    elif config.class_blocks:
        notes.append("The last blocks, in which only the class token is updated, are not shown.")
    if isinstance(config, ViTConfig) and config.mixes_heads:
        notes.append("Heads are mixed after the softmax: weights may be negative and need not sum to 1.")
    return tuple(notes)


def _windows_note(config: SwinConfig) -> str:
    start = attention_start(config)
    patches = f"Patches are those of the last map, {config.grid[0]} x {config.grid[1]}"
    if start == config.depth:
        return f"{patches}. Attention in windows is not shown; biases are shown by offset."
    return (
        f"{patches}. Attention of layers 1 to {start}, in windows of finer maps, is not shown; biases are, by offset."
    )
