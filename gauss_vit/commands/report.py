"""`report`: an HTML file in which a click on a patch shows its receptive field, position bias and attention."""

from typing import get_args

from gauss_vit.analysis.protocol import protocol_named
from gauss_vit.assembly.image_choices import as_asked
from gauss_vit.assembly.named_model import NamedModel, known_classes, named_model
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data.images.image import open_images
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.features import check_whole_patches
from gauss_vit.inspect.photos import Photo, photos_of, photos_of_run, readable
from gauss_vit.inspect.report.contents import make_report
from gauss_vit.inspect.report.layer_fields import FieldPlan, LayerChoice, remove_partial_files
from gauss_vit.inspect.report.page import render
from gauss_vit.inspect.result_files import write_text
from gauss_vit.quantities import counted


def run(invocation: Invocation) -> None:
    """Writes the page to `--out`. Without `--images`, those of the run's own observers are used.

    A command that was killed resumes after the last layer that it finished.

    Raises:
      ConfigError: a flag is wrong or missing, the image is not a whole number of patches, or the receptive field is
        not defined.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the page cannot be written.
    """
    out, protocol = invocation.path("out"), protocol_named(invocation.text("protocol"))
    layers = _layers(invocation.text("layers"))
    usual = named_model(invocation)
    named = as_asked(usual, invocation)
    if named is not usual and not invocation.is_given("images"):
        raise ConfigError(
            "the images of a run are prepared as while it trained",
            do="add --images=DIR for another size or preparation",
        )
    check_whole_patches(named.config, None)
    plan = FieldPlan(
        photos=_photos(invocation, named),
        protocol=protocol,
        layers=layers,
        batch_size=invocation.integer("batch_size") or 1,
        page=out,
    )
    workdir = invocation.path("workdir") if invocation.is_given("workdir") else None
    report = make_report(named, plan, num_shown=invocation.integer("show_images") or 1, workdir=workdir)
    page = render(report)
    write_text(out, page)
    remove_partial_files(named, out)
    num_layers = sum(field is not None for field in report.fields)
    patches = f"{report.grid[0] * report.grid[1]} patches in {counted(num_layers, 'layer')}"
    say(f"{out}: {patches}, {counted(len(plan.photos), 'image')}, {len(page.encode()) / 1e6:.1f} MB")


def _photos(invocation: Invocation, named: NamedModel) -> tuple[Photo, ...]:
    at_most = invocation.integer("max_images")
    if invocation.is_given("workdir") and not invocation.is_given("images"):
        return photos_of_run(invocation.path("workdir"), known=known_classes(invocation), at_most=at_most)
    paths = open_images(invocation.path("images"))[:at_most]
    return photos_of(named, readable(named, paths) if invocation.switch("skip_bad") else paths)


def _layers(text: str) -> LayerChoice:
    for known in get_args(LayerChoice):
        if text == known:
            return known
    raise ConfigError(f"expected --layers as {' or '.join(get_args(LayerChoice))} and got {text!r}")
