"""`erf`: the effective receptive field of a model on a folder of images, as arrays, numbers and a picture."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from gauss_vit.analysis.bootstrap import NUM_GROUPS
from gauss_vit.analysis.gaussian_fit import UNBOUNDED, FitBounds, image_bounds
from gauss_vit.analysis.protocol import protocol_named
from gauss_vit.analysis.token import Token, parse_tokens
from gauss_vit.assembly import cpu_devices
from gauss_vit.assembly.device import fastest_dtype
from gauss_vit.assembly.image_choices import Size, as_asked, resized, sizes_asked
from gauss_vit.assembly.named_model import NamedModel, intervened, named_model
from gauss_vit.command_line.console import say, warn
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data.images.image import open_images
from gauss_vit.errors import ConfigError
from gauss_vit.inspect import comparison
from gauss_vit.inspect.detected_box import detected_box, in_a_line
from gauss_vit.inspect.erf_results import strip_of, write_layers, write_strips, write_total
from gauss_vit.inspect.erf_run import Measurement, has_one_grid, layer_partials, measure, measure_layers
from gauss_vit.inspect.features import check_whole_patches
from gauss_vit.inspect.image_sizes import write_sizes
from gauss_vit.inspect.layer_scale import layer_scale_hint
from gauss_vit.inspect.network_features import DECODER, Layer, is_level, network_grid
from gauss_vit.inspect.photos import readable
from gauss_vit.inspect.result_files import FigureFormats, parse_formats, suffixed
from gauss_vit.inspect.titles import title_of
from gauss_vit.models.compute import ActivationType
from gauss_vit.weights.intervention import Intervention, parse_interventions

ALL_LAYERS = "all"
# Compiling every block separately takes seconds more and saves a hundredth of a second for each image and layer.
_UNROLLED_FROM = 256


def run(invocation: Invocation) -> None:
    """Writes NAME.npz, NAME.json and a figure to `--out`, and prints the half-mass radius and the fit.

    NAME is the model's, with the intervention, token, layer and protocol if they are not the default ones. With
    `--token=all` the arrays are stacked over tokens, the record has a list, and the figure is a mosaic; with
    `--layer=all` they are stacked over layers, and the figure is a strip. `--box=K` measures the score of a box that
    the model finds in one image. Several interventions are measured one after the other, and NAME_interventions.*
    compares them; of several image sizes, NAME_sizes.* does. A command that was killed resumes where it last saved.

    Raises:
      ConfigError: a flag is wrong or missing, or the target is degenerate.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    formats = parse_formats(invocation.text("format"))
    names = parse_interventions(invocation.text("intervention"))
    sizes = sizes_asked(invocation)
    is_layered = invocation.text("layer") == ALL_LAYERS
    _check_sizes(invocation, names, sizes)
    _check_box(invocation, names)
    _check_tokens(invocation, names)
    paths, named = _images(invocation)
    if len(sizes) > 1:
        _measure_sizes(invocation, named, paths, sizes=sizes)
        return
    named = resized(named, sizes[0]) if sizes else named
    measurement = _measurement(invocation, named, paths)
    seed = invocation.integer("seed") or 0
    variants = tuple(intervened(named, name, seed=seed) for name in names)
    measured = tuple(
        (variant, dataclasses.replace(measurement, stem=_stem(invocation, variant.name))) for variant in variants
    )
    measure_all = _measure_layers if is_layered else _measure_end
    comparison_path = invocation.path("out") / f"{_stem(invocation, named.name)}_interventions"
    measure_all(measured, comparison_path, formats=formats)


def parse_layer(text: str) -> Layer:
    """Reads `last` or `all` (None), `decoder`, a level of a pyramid such as `p3`, or the number of a block, from 1.

    Raises:
      ConfigError: the text is neither.
    """
    if text in ("last", ALL_LAYERS):
        return None
    if text == DECODER or is_level(text):
        return text
    if not text.isdecimal():
        raise ConfigError(
            f"expected a layer as last or a number and got {text!r}",
            do="write last, decoder, p3, all, or 1 for the first",
        )
    return int(text)


def _check_box(invocation: Invocation, interventions: Sequence[Intervention]) -> None:
    """Makes sure that a box is the only target.

    Raises:
      ConfigError: it is not.
    """
    if not invocation.is_given("box"):
        return
    given = [flag for flag, default in (("layer", "last"), ("token", "center")) if invocation.text(flag) != default]
    if given or tuple(interventions) != ("none",):
        other = f"--{given[0]}" if given else "--intervention, after which other boxes are found"
        raise ConfigError(f"--box is a target of its own, and does not go with {other}", do="leave one of them out")


def _target(invocation: Invocation, named: NamedModel, paths: Sequence[Path]) -> tuple[Layer, tuple[Token, ...]]:
    """Reads which map is measured, and at which places; a box is looked for, and described in a line.

    Raises:
      ConfigError: there is no such layer, token or box, or a box is asked for of several images.
    """
    protocol = protocol_named(invocation.text("protocol"))
    if not invocation.is_given("box"):
        layer = parse_layer(invocation.text("layer"))
        tokens = parse_tokens(invocation.text("token"), network_grid(named.network, layer), center=protocol.center)
        return layer, tokens
    if len(paths) > 1:
        raise ConfigError(
            f"a box is in one image, and there are {len(paths)}", do="add --max_images=1, or give a folder of one image"
        )
    box = detected_box(named, paths[0], invocation.integer("box") or 0)
    say(in_a_line(box))
    return box.score, (box.token,)


def _check_tokens(invocation: Invocation, interventions: Sequence[Intervention]) -> None:
    """Makes sure that all tokens are measured of one map alone.

    Raises:
      ConfigError: they are asked for of several.
    """
    layer = invocation.text("layer")
    is_small = layer != ALL_LAYERS and not isinstance(parse_layer(layer), str) and len(interventions) == 1
    if invocation.text("token") == "all" and not is_small:
        raise ConfigError(
            "--token=all goes with one layer of the backbone and one intervention",
            do="choose a token, such as --token=center",
        )


def _check_sizes(invocation: Invocation, interventions: Sequence[Intervention], sizes: Sequence[Size]) -> None:
    """Makes sure that of several sizes, the central token's field is measured in one layer, or in a map of the head.

    Raises:
      ConfigError: something else is asked for as well; a row and a column are another place at every size.
    """
    is_one_field = invocation.text("layer") != ALL_LAYERS and tuple(interventions) == ("none",)
    is_central = invocation.text("token") in ("center", "lower_center") and not invocation.is_given("box")
    if len(sizes) > 1 and not (is_one_field and is_central):
        raise ConfigError(
            "several --image_sizes go with a central token, one layer and no intervention", do="measure size by size"
        )


def _images(invocation: Invocation) -> tuple[tuple[Path, ...], NamedModel]:
    """Reads the image files and the model, as prepared for them."""
    paths = tuple(open_images(invocation.path("images"))[: invocation.integer("max_images")])
    cpu_devices.as_devices(batch_size=min(invocation.integer("batch_size") or 1, len(paths)))
    invocation.path("out")
    named = as_asked(named_model(invocation), invocation)
    if invocation.switch("skip_bad"):
        paths = readable(named, paths)
    if hint := layer_scale_hint(named.config, named.params):
        warn(hint)
    return paths, named


def _measurement(invocation: Invocation, named: NamedModel, paths: tuple[Path, ...]) -> Measurement:
    """Reads what to measure on which model, before any intervention."""
    protocol, batch_size = protocol_named(invocation.text("protocol")), invocation.integer("batch_size") or 1
    is_layered = invocation.text("layer") == ALL_LAYERS
    if is_layered and not has_one_grid(named.config) and invocation.text("token") != "center":
        raise ConfigError(
            "the stages of this model have grids of their own, so one token is another place in each",
            do="use --token=center, or measure layer by layer",
        )
    layer, tokens = _target(invocation, named, paths)
    if layer is None or isinstance(layer, int):
        check_whole_patches(named.config, layer)
    has_bands = len(tokens) == 1 and not is_layered and invocation.switch("bands")
    return Measurement(
        tokens=tokens,
        layer=layer,
        protocol=protocol,
        images=paths,
        batch_size=batch_size,
        stem=named.name,
        dtype=_dtype(invocation.text("dtype")),
        num_groups=NUM_GROUPS if has_bands else 0,
        save_every=invocation.integer("save_every") or 1,
        bounds=_bounds(invocation.text("fit"), named.config.image_size),
        unrolls=len(paths) * (named.config.depth if is_layered else 1) >= _UNROLLED_FROM,
    )


def _measure_sizes(
    invocation: Invocation, named: NamedModel, paths: tuple[Path, ...], *, sizes: Sequence[Size]
) -> None:
    """Measures a model at several image sizes, and draws the fields and their numbers side by side."""
    formats, out = parse_formats(invocation.text("format")), invocation.path("out")
    models = tuple(resized(named, size) for size in sizes)
    # All of them first: what is wrong with one size is said before another is measured.
    planned = tuple(
        dataclasses.replace(_measurement(invocation, shown, paths), stem=_stem(invocation, shown.name))
        for shown in models
    )
    for shown, measurement in zip(models, planned, strict=True):
        _measure_end(((shown, measurement),), out / measurement.stem, formats=formats)
    fields = tuple(comparison.read(suffixed(out / measurement.stem, "npz")) for measurement in planned)
    bounds = tuple(measurement.bounds for measurement in planned)
    path = out / f"{_stem(invocation, named.name)}_sizes"
    for line in write_sizes(path, fields, bounds=bounds, title=title_of(named), formats=formats):
        say(line)


def _measure_end(
    measured: tuple[tuple[NamedModel, Measurement], ...], comparison_path: Path, formats: FigureFormats
) -> None:
    """Measures one layer, usually the last, of every model, and compares the fields if there are several."""
    out = comparison_path.parent
    for named, measurement in measured:
        partial = suffixed(out / measurement.stem, "partial.npz")
        say(write_total(out, named, measurement, measure(named, measurement, partial=partial), formats=formats))
        partial.unlink(missing_ok=True)
    if len(measured) > 1:
        paths = [suffixed(out / measurement.stem, "npz") for _, measurement in measured]
        fields = tuple(comparison.read(path) for path in paths)
        for line in comparison.write_comparison(comparison_path, fields, formats=formats):
            say(line)


def _measure_layers(
    measured: tuple[tuple[NamedModel, Measurement], ...], comparison_path: Path, formats: FigureFormats
) -> None:
    """Measures every layer of every model, and draws the strips of several models below one another."""
    layers, out = [], comparison_path.parent
    for named, measurement in measured:
        maps = measure_layers(named, measurement, out=out)
        say(write_layers(out, named, measurement, maps, formats=formats))
        for partial in layer_partials(measurement, named.config, out=out):
            partial.unlink(missing_ok=True)
        layers.append((named, maps))
    if len(layers) > 1:
        strips = tuple(strip_of(named, maps) for named, maps in layers)
        write_strips(comparison_path, strips, layers[-1][1], formats=formats)


def _dtype(text: str) -> ActivationType:
    if text == "auto":
        return fastest_dtype()
    for known in get_args(ActivationType):
        if text == known:
            return known
    raise ConfigError(f"expected --dtype as {' or '.join(get_args(ActivationType))} and got {text!r}")


def _bounds(text: str, image_size: tuple[int, int]) -> FitBounds:
    """Reads the kind of Gaussian fit: the paper's `free` one, or OpenERF's `bounded` one."""
    if text not in ("free", "bounded"):
        raise ConfigError(f"expected --fit as free or bounded and got {text!r}")
    return UNBOUNDED if text == "free" else image_bounds(*image_size)


def _stem(invocation: Invocation, name: str) -> str:
    """Names the result files after the model and every choice that is not the default."""
    token = invocation.text("token").replace(" ", "").replace(",", "-")
    parts = (("token", token, "center"), ("layer", invocation.text("layer"), "last"))
    suffixes = [f"_{word}-{value}" for word, value, default in parts if value != default]
    suffixes += [f"_box-{invocation.integer('box')}"] if invocation.is_given("box") else []
    plain = (
        (invocation.text("protocol"), "bmvc2023"),
        (_dtype(invocation.text("dtype")), "float32"),
        (invocation.text("fit"), "free"),
    )
    suffixes += [f"_{value}" for value, default in plain if value != default]
    return name + "".join(suffixes)
