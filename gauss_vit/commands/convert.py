"""`convert`: a run's weights as a file for stock libraries, or a file's weights as a run at step 0."""

import jax

from gauss_vit.assembly import feeds
from gauss_vit.assembly.imported_run import fine_tuning_experiment, write_run
from gauss_vit.assembly.named_model import import_weights, known_classes, preset_config, trained
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.errors import ConfigError
from gauss_vit.weights.bake import bake
from gauss_vit.weights.name_tables import rules_named
from gauss_vit.weights.naming import to_theirs
from gauss_vit.weights.pretrained import Imported
from gauss_vit.weights.safetensors_file import write
from gauss_vit.weights.timm_call import timm_call


def run(invocation: Invocation) -> None:
    """Writes `--out`, or fills `--workdir`.

    With `--to`, the weights of the run are exported; a Gaussian or a term of your own is baked into relative tables
    first, so that the stock model computes the same. With `--weights`, a file is imported for the preset of `--model`,
    or for `--config`, and `train` can continue from it.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has no stock counterpart.
      CheckpointError: no checkpoint verifies, or the file is refused.
      StorageError: the file or the workdir cannot be written.
    """
    if invocation.is_given("to") == invocation.is_given("weights"):
        raise ConfigError("convert needs either --to=timm, to write a file, or --weights=F, to read one")
    if invocation.is_given("to"):
        _export(invocation)
    else:
        _import(invocation)


def _export(invocation: Invocation) -> None:
    """Writes the weights of a run under another library's names."""
    rules, out = rules_named(invocation.text("to")), invocation.path("out")
    named = trained(invocation.path("workdir"), known=known_classes(invocation))
    config, params = named.config, named.params
    foreign = [term.name for term in config.position.all_terms if not term.is_in_foreign_files]
    if foreign:
        config, params = bake(config, params)
    tensors = to_theirs(jax.device_get(params), rules(config))
    write(out, tensors)
    baked = f", {' and '.join(foreign)} baked into the tables" if foreign else ""
    say(f"{out}: {len(tensors)} tensors of step {named.step}{baked}")
    call = timm_call(config, named.head) if invocation.text("to") == "timm" else None
    if call is not None:
        say("from safetensors.torch import load_file")
        say(f"{call}.load_state_dict(load_file({str(out)!r}), strict=True)")


def _import(invocation: Invocation) -> None:
    """Writes a run at step 0 from a file."""
    folder, experiment, sources = invocation.path("workdir"), invocation.experiment, None
    if (experiment is None) != invocation.is_given("model"):
        raise ConfigError("convert needs either --model=NAME or --config=FILE beside --weights")
    if experiment is None:
        name = invocation.text("model")
        experiment = fine_tuning_experiment(name, preset_config(name, adds_gaussian=invocation.switch("gaussian")))
    else:
        sources = feeds.open_sources(experiment)
    imported = import_weights(invocation, experiment.network)
    write_run(folder, experiment, imported, sources=sources)
    say(f"{folder}: {_summary(imported)}")


def _summary(imported: Imported) -> str:
    parts = [f"weights in the names of {imported.table}"]
    if imported.resampled:
        parts.append(f"{len(imported.resampled)} resampled to this grid")
    if imported.fresh:
        parts.append(f"fresh: {', '.join(imported.fresh)}")
    return "; ".join(parts)
