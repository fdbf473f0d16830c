"""`report`: one HTML file in which one clicks a patch and sees its receptive field, position bias and attention."""

from typing import get_args

import jax

from gauss_vit.analysis.protocol import protocol_named
from gauss_vit.assembly.invocation import Invocation, say
from gauss_vit.assembly.named_model import NamedModel, named_model
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.photos import Photo, photos_in, photos_of_run
from gauss_vit.inspect.report.layer_fields import FieldPlan, LayerChoice, fields_of_layers, forget
from gauss_vit.inspect.report.notes import notes_of
from gauss_vit.inspect.report.page import Explorer, render
from gauss_vit.inspect.report.reader import layers_of, shown_images
from gauss_vit.inspect.result_files import write_text
from gauss_vit.models.vit import ViTConfig


def run(invocation: Invocation) -> None:
    """Writes the page to `--out`. Without `--images`, those of the run's own observers are used.

    A run that was killed goes on behind the last layer that it finished.

    Raises:
      ConfigError: a flag is wrong or missing, or the receptive field is not defined.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the page cannot be written.
    """
    out, protocol = invocation.path("out"), protocol_named(invocation.text("protocol"))
    layers = _layers(invocation.text("layers"))
    named = named_model(invocation)
    plan = FieldPlan(
        photos=_photos(invocation, named),
        protocol=protocol,
        layers=layers,
        batch_size=invocation.integer("batch_size") or 1,
        page=out,
    )
    explorer = explore(named, plan, num_shown=invocation.integer("show_images") or 1)
    page = render(explorer)
    write_text(out, page)
    forget(named, out)
    num_layers = sum(field is not None for field in explorer.fields)
    said = f"{explorer.grid[0] * explorer.grid[1]} patches in {num_layers} layers, {len(plan.photos)} images"
    say(f"{out}: {said}, {len(page.encode()) / 1e6:.1f} MB")


def explore(named: NamedModel, plan: FieldPlan, *, num_shown: int) -> Explorer:
    """Measures all that the page shows.

    Args:
      named: the model.
      plan: what to measure of receptive fields, and over which images.
      num_shown: how many of the first images can be looked at.

    Raises:
      ConfigError: the receptive field is not defined.
      StorageError: what is finished cannot be saved.
    """
    config = named.config
    fields = fields_of_layers(named, plan)
    return Explorer(
        model=named.name,
        step=named.step,
        num_parameters=sum(leaf.size for leaf in jax.tree.leaves(named.params)),
        image_size=config.image_size,
        prefix_tokens=config.prefix_tokens if isinstance(config, ViTConfig) else 0,
        grid=config.grid,
        protocol=plan.protocol,
        num_images=len(plan.photos),
        fields=fields,
        layers=layers_of(named),
        images=tuple(shown_images(named, plan.photos[:num_shown])),
        notes=notes_of(config, plan, fields=fields, num_shown=num_shown),
    )


def _photos(invocation: Invocation, named: NamedModel) -> tuple[Photo, ...]:
    at_most = invocation.integer("max_images")
    if invocation.is_given("workdir") and not invocation.is_given("images"):
        return photos_of_run(invocation.path("workdir"), at_most=at_most)
    return photos_in(invocation.path("images"), named, at_most=at_most)


def _layers(text: str) -> LayerChoice:
    for known in get_args(LayerChoice):
        if text == known:
            return known
    raise ConfigError(f"expected --layers as {' or '.join(get_args(LayerChoice))} and got {text!r}")
