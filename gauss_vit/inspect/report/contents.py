"""Everything that a report shows of a model, measured and read."""

from dataclasses import dataclass
from pathlib import Path

import jax

from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.inspect.network_features import DECODER
from gauss_vit.inspect.report.curves import Chart, curves_of
from gauss_vit.inspect.report.images import ReportImage, shown_images, spread_over_classes
from gauss_vit.inspect.report.layer_fields import FieldPlan, fields_of_layers
from gauss_vit.inspect.report.layers import ReportLayer, layers_of
from gauss_vit.inspect.report.notes import notes_of
from gauss_vit.inspect.report.reduced_fields import ReportField
from gauss_vit.inspect.titles import description
from gauss_vit.ops.grid import Grid
from gauss_vit.waiting import announced


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the page shows.

    Attributes:
      model: name of the model.
      description: kind, number of layers and position information of its backbone.
      step: number of updates of its parameters.
      num_parameters: number of its parameters.
      image_size: (height, width) in pixels.
      prefix_tokens: number of tokens before the patches in attention, such as class tokens.
      grid: (height, width) of the patches that one clicks.
      protocol: definition of the receptive fields.
      num_images: number of images that they are averaged over.
      fields: receptive fields after every layer, from the first; None if they are not shown.
      end: what those of the last layer are of: "end of the trunk", or "decoder".
      layers: position bias and learned values of every layer, from the first.
      class_names: names of the classes, by index; empty if they are unknown.
      images: images to choose from.
      training: curves of the run; empty for a model without one.
      notes: how the maps were made, and what is not shown.
    """

    model: str
    description: str
    step: int
    num_parameters: int
    image_size: Grid
    prefix_tokens: int
    grid: Grid
    protocol: ErfProtocol
    num_images: int
    fields: tuple[ReportField | None, ...]
    end: str
    layers: tuple[ReportLayer, ...]
    class_names: tuple[str, ...]
    images: tuple[ReportImage, ...]
    training: tuple[Chart, ...]
    notes: tuple[str, ...]


def make_report(named: NamedModel, plan: FieldPlan, *, num_shown: int, workdir: Path | None = None) -> Report:
    """Measures receptive fields and reads everything else that the page shows.

    Args:
      named: the model.
      plan: which receptive fields to measure, and over which images.
      num_shown: number of images to show, spread over their classes.
      workdir: folder of the model's run; None if it has none.

    Raises:
      ConfigError: the receptive field is not defined.
      StorageError: intermediate results cannot be saved.
    """
    config = named.config
    fields = fields_of_layers(named, plan)
    shown = spread_over_classes(plan.photos, num_shown)
    with announced("reading position bias and attention"):
        layers, images = layers_of(named), tuple(shown_images(named, shown))
    return Report(
        model=named.name,
        description=description(named.config),
        step=named.step,
        num_parameters=sum(leaf.size for leaf in jax.tree.leaves(named.params)),
        image_size=config.image_size,
        prefix_tokens=config.stages()[-1].prefix_tokens,
        grid=config.grid,
        protocol=plan.protocol,
        num_images=len(plan.photos),
        fields=fields,
        end=DECODER if plan.layers == DECODER else "end of the trunk",
        layers=layers,
        class_names=named.class_names,
        images=images,
        training=() if workdir is None else curves_of(workdir),
        notes=notes_of(config, plan, fields=fields, num_shown=num_shown),
    )
