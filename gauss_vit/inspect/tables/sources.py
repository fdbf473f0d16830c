"""The models and runs that a table is computed for, as a command line names them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gauss_vit.assembly.image_choices import as_asked
from gauss_vit.assembly.named_model import NamedModel, known_classes, named_model, run_experiment
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.inspect.titles import shortest_names
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.presets import PRESETS
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train.workdir.lock import CONFIG


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A run, or a model with or without weights.

    Attributes:
      name: Name in the table: that of the run's folder, or the model's.
      invocation: Command line that names this source alone.
    """

    name: str
    invocation: Invocation

    @property
    def workdir(self) -> Path | None:
        """Folder of the run; None for a model by name."""
        return self.invocation.path("workdir") if self.invocation.is_given("workdir") else None

    @property
    def is_fresh(self) -> bool:
        """Whether the parameters are drawn, since no weights are given."""
        return self.workdir is None and not self.invocation.is_given("weights")

    def load(self) -> NamedModel:
        """Loads the model.

        Raises:
          ConfigError: there is no such model, or a flag is wrong.
          CheckpointError: no checkpoint verifies, or the weights are refused.
        """
        return as_asked(named_model(self.invocation), self.invocation)

    def experiment(self) -> Experiment:
        """Reads the experiment of a run.

        Raises:
          ConfigError: this is not a run.
        """
        if self.workdir is None:
            raise ConfigError(
                f"{self.name} is a model, and this table is of runs", do="name the workdirs of runs instead"
            )
        return run_experiment(self.workdir, known=known_classes(self.invocation))


def sources(invocation: Invocation) -> tuple[Source, ...]:
    """Lists what `--workdir` or `--model` names, and then the words after the table's.

    A word is the workdir of a run, or a model by timm's name, `MODEL` or `MODEL=FILE` with its weights.

    Raises:
      ConfigError: nothing is named.
    """
    named = [_of_word(word, invocation) for word in invocation.arguments[1:]]
    if invocation.is_given("workdir") and invocation.is_given("model"):
        raise ConfigError("table got --workdir and --model", do="write gauss-vit table 1 WORKDIR MODEL=FILE ...")
    if invocation.is_given("workdir") or invocation.is_given("model"):
        given = invocation.path("workdir").absolute().name if invocation.is_given("workdir") else ""
        named.insert(0, Source(name=given or invocation.text("model"), invocation=invocation))
    if not named:
        raise ConfigError("table needs a model or a run", do="write gauss-vit table 1 WORKDIR MODEL=FILE ...")
    return _with_different_names(named)


def _with_different_names(named: Sequence[Source]) -> tuple[Source, ...]:
    """Names runs in folders of equal names by the folders above as well."""
    folders = [source.workdir for source in named if source.workdir is not None]
    names = dict(zip(folders, shortest_names(folders), strict=True))
    return tuple(
        dataclasses.replace(source, name=names.get(source.workdir) or source.name) if source.workdir else source
        for source in named
    )


def _of_word(word: str, invocation: Invocation) -> Source:
    folder = Path(word).expanduser()
    if (folder / CONFIG).is_file():
        return Source(name=folder.absolute().name, invocation=_naming(invocation, workdir=word))
    model, _, weights = word.partition("=")
    if "/" in model or folder.exists():
        do = "name the workdir of a run, or a model"
        raise ConfigError(f"{word} does not contain a run: it has no {CONFIG}", do=do)
    return Source(name=model, invocation=_naming(invocation, model=model, weights=weights or None))


def _naming(
    invocation: Invocation, *, workdir: str | None = None, model: str | None = None, weights: str | None = None
) -> Invocation:
    chosen = {"workdir": workdir, "model": model, "weights": weights}
    # Flags that are for runs, or for models, are left out for the others.
    unused = {"gaussian": False, "head": "file", "source_grid": None} if workdir else {"best": False, "ema": False}
    return dataclasses.replace(invocation, options={**invocation.options, **chosen, **unused})


def architecture(config: BackboneConfig) -> str:
    """Names the preset that a backbone is, apart from its Gaussian and image size; otherwise describes it.

    >>> from gauss_vit.position.position import with_terms
    >>> architecture(with_terms(PRESETS["vit_relpos_small_patch16_224"], Gaussian()))
    'vit_relpos_small_patch16_224'
    """
    shape = _shape(config)
    found = next((name for name, preset in PRESETS.items() if _shape(preset) == shape), None)
    kind = type(config).__name__.removesuffix("Config")
    return found or f"{kind} {config.depth} x {config.stages()[0].width}"


def _shape(config: BackboneConfig) -> tuple[object, ...]:
    """Collects what tells architectures apart, whatever their image size and Gaussian."""
    stages = tuple(
        (
            stage.depth,
            stage.width,
            stage.num_heads,
            stage.patch_size,
            stage.prefix_tokens,
            None if stage.is_global else stage.window,
        )
        for stage in config.stages()
    )
    return type(config), config.position.without(Gaussian), stages
