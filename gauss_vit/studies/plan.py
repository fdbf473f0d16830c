"""The runs of a study: their folders, their experiments, and the commands that carry them out.

Each is an ordinary run: its commands can be typed by hand, and end with the same files.
"""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.config import loading
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.studies import study as studies
from gauss_vit.studies.study import OWN_FOLDER, Arm, Study

_PROGRAM = ("-m", "gauss_vit.main")
_SHOWN_PROGRAM = "gauss-vit"
_PLACES = ("data.data_dir", "start.weights")
"""Keys that name a place of one machine, which nobody else has."""

Overrides = Mapping[str, str | bool]


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study.

    Attributes:
      index: number of the run, from 0.
      arm: name of its arm.
      seed: its seed.
      folder: its workdir.
      config: config file with the argument that gives its experiment.
      experiment: its experiment, before anything is taken from the data.
      train: arguments of the program that trains it.
      evaluate: arguments of the program that measures it.
    """

    index: int
    arm: str
    seed: int
    folder: Path
    config: str
    experiment: Experiment
    train: tuple[str, ...]
    evaluate: tuple[str, ...]

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.arm} seed {self.seed}"

    @property
    def stem(self) -> str:
        """What its own files of the study are called."""
        return f"{self.arm}_seed_{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study with its runs.

    Attributes:
      study: the study.
      source: path of its config file, as it was given.
      overrides: changes of the configs of all runs.
      workdir: folder of the study.
      runs: all arms of the first seed, then all of the next one, so that an unfinished study has pairs.
    """

    study: Study
    source: str
    overrides: Overrides
    workdir: Path
    runs: tuple[PlannedRun, ...]

    @property
    def own_folder(self) -> Path:
        """Folder of records and logs."""
        return self.workdir / OWN_FOLDER


def make_plan(source: str, *, overrides: Overrides, workdir: Path) -> Plan:
    """Loads a study and plans its runs.

    Args:
      source: the config file.
      overrides: texts of `--config.KEY=VALUE` by key, for all runs; see `overrides_of`.
      workdir: folder of the study.

    Raises:
      ConfigError: the file or an override is wrong, an override sets the seed, or a run does not keep the weights that
        the study measures.
    """
    if "seed" in overrides:
        raise ConfigError("--config.seed would give all runs one seed", do="change the seeds of the study")
    study = studies.load(source)
    order = [(arm, seed) for seed in study.seeds for arm in study.arms]
    runs = tuple(
        _planned(study, source, overrides=overrides, workdir=workdir, index=index, arm=arm, seed=seed)
        for index, (arm, seed) in enumerate(order)
    )
    return Plan(study=study, source=source, overrides=overrides, workdir=workdir, runs=runs)


def _planned(
    study: Study, source: str, *, overrides: Overrides, workdir: Path, index: int, arm: Arm, seed: int
) -> PlannedRun:
    config = f"{loading.path_of(source)}:{arm.config_argument}"
    folder, own = workdir / arm.name / f"seed_{seed}", overrides_of(overrides, arm=arm.name, seed=seed)
    experiment = experiments.override(experiments.load(config), {**own, "seed": seed})
    _check_weights(study, experiment, arm=arm.name)
    return PlannedRun(
        index=index,
        arm=arm.name,
        seed=seed,
        folder=folder,
        config=config,
        experiment=experiment,
        train=("train", f"--config={config}", *flags(own), f"--config.seed={seed}", f"--workdir={folder}"),
        evaluate=("evaluate", *_measured(study, folder), f"--workdir={folder}"),
    )


def _check_weights(study: Study, experiment: Experiment, *, arm: str) -> None:
    """Makes sure that a run keeps what will be measured."""
    training = experiment.training
    lacking = {
        "last": None,
        "ema": "ema_decay" if training.ema_decay is None else None,
        "best": "best" if training.best is None else None,
    }[study.weights]
    if lacking is not None:
        raise ConfigError(
            f"the study measures weights={study.weights!r}, which the arm {arm} does not keep",
            do=f"set training.{lacking} in its config, or let the study measure weights='last'",
        )


def _measured(study: Study, folder: Path) -> tuple[str, ...]:
    chosen = {"last": (), "ema": ("--ema",), "best": ("--best",)}[study.weights]
    if study.split is None:
        return chosen
    return (*chosen, f"--config={folder / 'config.json'}", f"--config.data.eval_split={study.split}")


def overrides_of(overrides: Overrides, *, arm: str, seed: int) -> Overrides:
    """Returns the changes of a run: in a text, `{arm}` and `{seed}` stand for its own, as in the place of weights.

    >>> overrides_of({"start.weights": "P/{arm}/seed_{seed}"}, arm="none", seed=2)
    {'start.weights': 'P/none/seed_2'}
    """
    return {
        key: value.replace("{arm}", arm).replace("{seed}", str(seed)) if isinstance(value, str) else value
        for key, value in overrides.items()
    }


def flags(overrides: Overrides) -> tuple[str, ...]:
    """Writes changes of a config as flags.

    >>> flags({"data.data_dir": "TFDS", "a.b": True, "c.d": False})
    ('--config.data.data_dir=TFDS', '--config.a.b', '--noconfig.c.d')
    """
    words = {True: "--config.{}", False: "--noconfig.{}"}
    return tuple(
        words[value].format(key) if isinstance(value, bool) else f"--config.{key}={value}"
        for key, value in overrides.items()
    )


def process_command(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the command of a process of this program."""
    return (sys.executable, *_PROGRAM, *arguments)


def shown_commands(plan: Plan, run: PlannedRun) -> str:
    """Writes the commands of a run as somebody else would type them, with `W` for its folder."""
    given = flags(_without_places(overrides_of(plan.overrides, arm=run.arm, seed=run.seed)))
    train = ("train", f"--config={run.config}", *given, f"--config.seed={run.seed}", "--workdir=W")
    evaluate = tuple(word.replace(str(run.folder), "W") for word in run.evaluate)
    return " && ".join(shlex.join((_SHOWN_PROGRAM, *words)) for words in (train, evaluate))


def study_command(plan: Plan) -> str:
    """Writes the command of the whole study as somebody else would type it, with `W` for its folder."""
    given = flags(_without_places(plan.overrides))
    return shlex.join((_SHOWN_PROGRAM, "study", f"--config={plan.source}", *given, "--workdir=W"))


def _without_places(overrides: Overrides) -> Overrides:
    """Replaces places of this machine by what they are."""
    return {key: key.rpartition(".")[2].upper() if key in _PLACES else value for key, value in overrides.items()}
