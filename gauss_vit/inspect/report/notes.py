"""The notes below the maps of a report: how they were made, and what is left out."""

from collections.abc import Sequence

from gauss_vit.inspect.network_features import DECODER
from gauss_vit.inspect.report.layer_fields import FieldPlan, middle_layers
from gauss_vit.inspect.report.layers import attention_start
from gauss_vit.inspect.report.reduced_fields import ReportField, end_shape, middle_shape
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.quantities import counted


def notes_of(
    config: BackboneConfig,
    plan: FieldPlan,
    *,
    fields: tuple[ReportField | None, ...],
    num_shown: int,
) -> tuple[str, ...]:
    """Explains how the maps were made and what is left out.

    Args:
      config: config of the model.
      plan: which receptive fields were measured.
      fields: the fields of every layer.
      num_shown: number of images that can be chosen.
    """
    num_images = len(plan.photos)
    shown = _means(config, end_shape(config.image_size, config.grid))
    notes = [
        f"Receptive fields are averaged over {counted(num_images, 'image')}, measured in pixels, and shown {shown}."
        f" Their numbers are of the full resolution; shifts and radii are from the centre of the patch.",
        *_layer_notes(config, plan, fields),
        "Rows, columns, layers and heads are counted from 0.",
        "A Gaussian fit with an R\u00b2 below 0.5, or narrower than a pixel, means nothing and is left out.",
        "Field and attention have 256 levels, even in the square root, from 0 to the largest value of each map.",
        "The mean distance weighs the distances from this patch to all patches by its attention on them.",
    ]
    if num_shown < num_images:
        notes.append(f"{num_shown} of the {num_images} images are shown, spread over the classes where they are known.")
    stages = config.stages()
    if len(stages) > 1 or not stages[0].is_global:
        notes.append(_windows_note(config))
    if config.class_blocks:
        notes.append("The last blocks, in which only the class token is updated, are not shown.")
    if any(stage.mixes_heads for stage in stages):
        notes.append("Heads are mixed after the softmax: weights may be negative and need not sum to 1.")
    return tuple(notes)


def _layer_notes(config: BackboneConfig, plan: FieldPlan, fields: tuple[ReportField | None, ...]) -> list[str]:
    """Explains which layers have fields, and how those before the last are shown."""
    if plan.layers == DECODER:
        return ["Receptive fields are of the map that the classifier reads, at its place in the centre of each patch."]
    last = f"The field of layer {config.depth - 1} is that at the end of the trunk"
    end = f"{last}, after its final normalisation if it has one" if plan.protocol.reads_normalized else last
    if plan.layers == "last":
        return [f"{end}. Fields of other layers were not measured; --layers=all does."]
    found = middle_layers(config)
    shape = middle_shape(config.image_size, config.grid, len(found))
    if shape is None:
        return [f"{end}. Fields of other layers have no room in the file."] if found else [f"{end}."]
    notes = [
        f"{end}; those of {_spelt([layer - 1 for layer in found])} are of the output of these blocks,"
        f" shown {_means(config, shape)}."
    ]
    if found[0] > 1:
        notes.append(f"Receptive fields of {_spelt(range(found[0] - 1))} have patches of their own and are not shown.")
    undefined = [layer - 1 for layer in found if fields[layer - 1] is None]
    if undefined:
        notes.append(f"The receptive fields of {_spelt(undefined)} are not defined: the readout has no gradient.")
    return notes


def _spelt(layers: Sequence[int]) -> str:
    """Spells out layer numbers, as a range if they are consecutive.

    >>> _spelt([3]), _spelt([1, 2, 3]), _spelt([1, 4])
    ('layer 3', 'layers 1 to 3', 'layers 1, 4')
    """
    if len(layers) == 1:
        return f"layer {layers[0]}"
    if layers[-1] - layers[0] == len(layers) - 1:
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layers {', '.join(str(layer) for layer in layers)}"


def _means(config: BackboneConfig, shape: Grid) -> str:
    down, across = config.image_size[0] // shape[0], config.image_size[1] // shape[1]
    if down == across == 1:
        return "pixel by pixel"
    return f"as means over {down} x {across} px"


def _windows_note(config: BackboneConfig) -> str:
    start = attention_start(config)
    patches = f"Patches are those of the last map, {config.grid[0]} x {config.grid[1]}"
    if all(stage.attention is None for stage in config.stages()):
        return f"{patches}. There is no attention between patches, so that fields alone are shown."
    if start == config.depth:
        return f"{patches}. Attention in windows is not shown; biases are shown by offset."
    hidden = f"Attention of {_spelt(range(start))}, in windows of finer maps, is not shown"
    return f"{patches}. {hidden}; biases are, by offset."
