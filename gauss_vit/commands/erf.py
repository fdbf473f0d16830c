"""`erf`: the effective receptive field of a model on a folder of images, as arrays, numbers and a picture."""

import dataclasses
from pathlib import Path
from typing import get_args

from gauss_vit.analysis.bootstrap import NUM_GROUPS
from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import UNBOUNDED, FitBounds, image_bounds
from gauss_vit.analysis.protocol import protocol_named
from gauss_vit.analysis.token import parse_tokens
from gauss_vit.assembly import cpu_devices
from gauss_vit.assembly.invocation import Invocation
from gauss_vit.assembly.named_model import NamedModel, named_model
from gauss_vit.commands import compare
from gauss_vit.data.images.image import open_images
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.erf_results import write_layers, write_results, write_strips, write_total
from gauss_vit.inspect.erf_run import Measurement, measure
from gauss_vit.inspect.features import ActivationType, grid_of_layer
from gauss_vit.inspect.interventions import intervened
from gauss_vit.inspect.result_files import suffixed
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.plots.strips import Strip
from gauss_vit.weights.intervention import parse_interventions

__all__ = ["Measurement", "parse_layer", "run", "write_results", "write_total"]

ALL_LAYERS = "all"
# Compiling every block for itself takes seconds more and saves a hundredth of a second an image and layer.
_UNROLLED_FROM = 256


def run(invocation: Invocation) -> None:
    """Writes NAME.npz, NAME.json, NAME.png and NAME.pdf to `--out`, and says sigma and R squared of the fit.

    NAME is the model's, with the intervention, token, layer and protocol where they are not the default ones. With
    `--token=all` the arrays are stacked over tokens, the record has a list, and the picture is a mosaic; with
    `--layer=all` they are stacked over layers, and the picture is a strip. Several interventions are measured one after
    the other, and NAME_interventions.* compares them. A run that was killed goes on where it was last saved.

    Raises:
      ConfigError: a flag is wrong or missing, or the target is degenerate.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    names = parse_interventions(invocation.text("intervention"))
    is_layered = invocation.text("layer") == ALL_LAYERS
    if invocation.text("token") == "all" and (is_layered or len(names) > 1):
        raise ConfigError(
            "--token=all goes with one layer and one intervention", do="choose a token, such as --token=center"
        )
    plan, named = _plan(invocation)
    out, seed = invocation.path("out"), invocation.integer("seed") or 0
    variants = tuple(intervened(named, name, seed=seed) for name in names)
    measured = tuple((variant, dataclasses.replace(plan, stem=_stem(invocation, variant.name))) for variant in variants)
    together = out / f"{_stem(invocation, named.name)}_interventions"
    if is_layered:
        _run_layers(out, measured, together=together)
        return
    for variant, measurement in measured:
        partial = suffixed(out / measurement.stem, "partial.npz")
        write_total(out, variant, measurement, measure(variant, measurement, partial=partial))
        partial.unlink(missing_ok=True)
    if len(measured) > 1:
        paths = [suffixed(out / measurement.stem, "npz") for _, measurement in measured]
        compare.write_comparison(together, tuple(compare.read(path) for path in paths))


def parse_layer(text: str) -> int | None:
    """Reads `last` (None) or the number of a block, from 1.

    Raises:
      ConfigError: it is neither.
    """
    if text == "last":
        return None
    if not text.isdecimal():
        raise ConfigError(
            f"expected a layer as last or a number and got {text!r}", do="write last, all, or 1 for the first"
        )
    return int(text)


def _plan(invocation: Invocation) -> tuple[Measurement, NamedModel]:
    """Reads what to measure, and on which model; the name of the files is that of the model as it is."""
    protocol = protocol_named(invocation.text("protocol"))
    paths = open_images(invocation.path("images"))[: invocation.integer("max_images")]
    batch_size = invocation.integer("batch_size") or 1
    cpu_devices.as_devices(batch_size=min(batch_size, len(paths)))
    invocation.path("out")
    named = named_model(invocation)
    is_layered = invocation.text("layer") == ALL_LAYERS
    if is_layered and isinstance(named.config, SwinConfig) and invocation.text("token") != "center":
        raise ConfigError(
            "the stages of a Swin transformer have grids of their own, so one token is another place in each",
            do="use --token=center, or measure layer by layer",
        )
    layer = None if is_layered else parse_layer(invocation.text("layer"))
    tokens = parse_tokens(invocation.text("token"), grid_of_layer(named.config, layer), center=protocol.center)
    has_bands = len(tokens) == 1 and not is_layered and invocation.switch("bands")
    plan = Measurement(
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
    return plan, named


def _run_layers(out: Path, measured: tuple[tuple[NamedModel, Measurement], ...], *, together: Path) -> None:
    """Measures every layer of every model, and puts the strips of several below one another."""
    strips: list[Strip] = []
    for named, measurement in measured:
        maps = _measure_layers(out, named, measurement)
        strips.append(write_layers(out, named, measurement, maps))
    if len(strips) > 1:
        write_strips(together, tuple(strips), maps)


def _measure_layers(out: Path, named: NamedModel, measurement: Measurement) -> tuple[ErfMap, ...]:
    """Measures layer after layer; what is saved of a killed run is kept until all are done."""
    steps = [_of_layer(measurement, layer, named.config) for layer in range(1, named.config.depth + 1)]
    partials = [suffixed(out / step.stem, "partial.npz") for step in steps]
    maps = [measure(named, step, partial=partial).maps()[0] for step, partial in zip(steps, partials, strict=True)]
    for partial in partials:
        partial.unlink(missing_ok=True)
    return tuple(maps)


def _of_layer(measurement: Measurement, layer: int, config: ViTConfig | SwinConfig) -> Measurement:
    """Says what to measure of a layer; where layers have grids of their own, it is the central token of each."""
    tokens = measurement.tokens
    if isinstance(config, SwinConfig):
        tokens = (measurement.protocol.center(grid_of_layer(config, layer)),)
    return dataclasses.replace(measurement, layer=layer, tokens=tokens, stem=f"{measurement.stem}-{layer}")


def _dtype(text: str) -> ActivationType:
    for known in get_args(ActivationType):
        if text == known:
            return known
    raise ConfigError(f"expected --dtype as {' or '.join(get_args(ActivationType))} and got {text!r}")


def _bounds(text: str, image_size: tuple[int, int]) -> FitBounds:
    """Reads which fit is meant: the paper's `free` one, or OpenERF's `bounded` one."""
    if text not in ("free", "bounded"):
        raise ConfigError(f"expected --fit as free or bounded and got {text!r}")
    return UNBOUNDED if text == "free" else image_bounds(*image_size)


def _stem(invocation: Invocation, name: str) -> str:
    """Names the result files after the model and whatever differs from the default measurement."""
    token = invocation.text("token").replace(" ", "").replace(",", "-")
    parts = (("token", token, "center"), ("layer", invocation.text("layer"), "last"))
    suffixes = [f"_{word}-{value}" for word, value, default in parts if value != default]
    plain = (("protocol", "bmvc2023"), ("dtype", "float32"), ("fit", "free"))
    suffixes += [f"_{invocation.text(flag)}" for flag, default in plain if invocation.text(flag) != default]
    return name + "".join(suffixes)
