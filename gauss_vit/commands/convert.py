"""`convert`: a run's weights as a file for stock libraries, or a file's weights as a run at step 0."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gauss_vit.assembly import feeds, from_data
from gauss_vit.assembly.export import write_program, write_weights
from gauss_vit.assembly.foreign_weights import with_epsilon
from gauss_vit.assembly.imported_run import fine_tuning_experiment, write_run
from gauss_vit.assembly.named_model import found_weights, import_weights, preset_config, trained_as_asked
from gauss_vit.assembly.unbaking import Unbaked, recorded_gaussian, with_gaussian
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.command_line.verb import OptionValue
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.position.position import without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.weights.bake import with_table
from gauss_vit.weights.names.name_tables import rules_named
from gauss_vit.weights.pretrained import Imported
from gauss_vit.weights.published import Published

_OF_IMPORT: Mapping[str, OptionValue] = MappingProxyType(
    {"unbake": False, "model": None, "head": "file", "source_grid": None}
)
_OF_EXPORT: Mapping[str, OptionValue] = MappingProxyType({"best": False, "ema": False, "out": None})
"""Flags of one way alone, with their defaults."""


def run(invocation: Invocation) -> None:
    """Writes `--out`, or fills `--workdir`.

    With `--to`, the weights of the run are exported, those that `--best` and `--ema` choose; a Gaussian or a term of
    your own is baked into relative tables first, so that the stock model computes the same. `--out` is a file that ends
    in .safetensors, or a folder that timm or transformers load as it is; `--to=stablehlo` writes the run as a program
    for the `--platforms`. With `--weights`, a file is imported for the preset of `--model`,
    or for `--config`, and `train` can continue from it. With `--unbake`, the relative tables of the file are
    split into a Gaussian, the one that was baked if the file says so and otherwise a fitted one, and a rest.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has no stock counterpart.
      CheckpointError: no checkpoint verifies, or the file is refused.
      StorageError: the file or the workdir cannot be written.
    """
    if invocation.is_given("to") == invocation.is_given("weights"):
        raise ConfigError("convert needs either --to=timm, to write weights, or --weights=F, to read one")
    _check_way(invocation)
    if invocation.is_given("to"):
        _export(invocation)
    else:
        _import(invocation)


def _check_way(invocation: Invocation) -> None:
    """Makes sure that no flag is given that this way has no use for.

    Raises:
      ConfigError: one is.
    """
    is_export = invocation.is_given("to")
    unused = _OF_IMPORT if is_export else _OF_EXPORT
    given = [flag for flag, default in unused.items() if invocation.options[flag] != default]
    if given and is_export:
        raise ConfigError(f"--{given[0]} is for the way in", do="leave it out, or give --weights instead of --to")
    if given:
        raise ConfigError(f"--{given[0]} is for the way out", do="leave it out, or give --to instead of --weights")
    if invocation.experiment is not None and invocation.switch("gaussian"):
        raise ConfigError(
            "--gaussian changes a preset, not a config", do="leave it out, or add Gaussian() to model.position.terms"
        )


def _export(invocation: Invocation) -> None:
    """Writes the weights of a run for another library, or the run as a StableHLO program."""
    library, out = invocation.text("to"), invocation.path("out")
    if library == "stablehlo":
        platforms = [name.strip() for name in invocation.text("platforms").split(",")]
        lines = write_program(trained_as_asked(invocation), out, platforms)
    else:
        rules_named(library)
        lines = write_weights(trained_as_asked(invocation), library, out)
    for line in lines:
        say(line)


def _import(invocation: Invocation) -> None:
    """Writes a run at step 0 from a file."""
    folder, experiment, sources = invocation.path("workdir"), invocation.experiment, None
    if (experiment is None) != invocation.is_given("model"):
        raise ConfigError("convert needs either --model=NAME or --config=FILE beside --weights")
    if experiment is None:
        name = invocation.text("model")
        preset = preset_config(name, adds_gaussian=invocation.switch("gaussian"))
        found = found_weights(invocation)
        experiment = fine_tuning_experiment(name, with_epsilon(preset, found))
    else:
        complete = from_data.complete(experiment)
        experiment, found = complete.experiment, found_weights(invocation)
        sources = feeds.open_sources(experiment, train=complete.train)
    class_names = () if sources is None else sources.train.class_names
    if invocation.switch("unbake"):
        unbaked = _unbaked(invocation, experiment, found, class_names)
        imported, model = unbaked.imported, unbaked.config
        experiment = experiment if invocation.experiment else dataclasses.replace(experiment, model=model)
        say(unbaked.line)
    else:
        imported = import_weights(invocation, experiment.network, found, class_names=class_names)
    write_run(folder, experiment, imported, sources=sources)
    say(f"{folder}: {_summary(imported)}")


def _unbaked(invocation: Invocation, experiment: Experiment, found: Published, class_names: Sequence[str]) -> Unbaked:
    """Reads weights with a table in every block, and splits off the Gaussian of the config, or of the file.

    Raises:
      ConfigError: the config has no Gaussian, or another position bias than tables beside it.
    """
    wanted = _gaussian_of(experiment) if invocation.experiment else None
    tables = without_terms(experiment.model, Gaussian) if invocation.experiment else with_table(experiment.model)
    recorded = recorded_gaussian(found, tables, wanted=wanted)
    read = dataclasses.replace(experiment, model=tables)
    imported = import_weights(invocation, read.network, found, class_names=class_names)
    fallback = Gaussian() if recorded is None else recorded.term
    return with_gaussian(tables, imported, wanted or fallback, recorded)


def _gaussian_of(experiment: Experiment) -> Gaussian:
    found = [term for term in experiment.model.position.terms if isinstance(term, Gaussian)]
    if not found:
        raise ConfigError("the config has no Gaussian to split off", do="add one to model.position.terms")
    return found[0]


def _summary(imported: Imported) -> str:
    parts = [f"weights in the names of {imported.table}"]
    if imported.resampled:
        parts.append(f"{len(imported.resampled)} resampled to this grid")
    if imported.fresh:
        parts.append(f"fresh: {', '.join(imported.fresh_parts)}")
    return "; ".join(parts)
