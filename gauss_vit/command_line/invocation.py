"""The input of a verb: its flags, its other arguments and the experiment of its config.

A verb's module only composes functions of other modules. It reads flags with the methods below, writes results with
`console.say`, raises a `gauss_vit.errors.UserError` for everything that the user can correct, and returns nothing;
`main` sets the exit status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.command_line.parsing import CommandLine
from gauss_vit.command_line.verb import OptionValue
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.files import is_remote


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command line with the experiment that it describes.

    Attributes:
      verb: Name of the verb.
      experiment: The experiment of `--config` and its overrides; None without `--config`.
      options: Value of every flag of the verb, by name; None for a flag that has no default and is not given.
      arguments: Words that are not flags, such as file names.
      config: The value of `--config`; None without it.
      overrides: Texts of `--config.KEY=VALUE` by key; True and False for `--config.KEY` and `--noconfig.KEY`.
    """

    verb: str
    experiment: Experiment | None
    options: Mapping[str, OptionValue]
    arguments: tuple[str, ...]
    config: str | None = None
    overrides: Mapping[str, str | bool] = field(default_factory=dict)

    def is_given(self, name: str) -> bool:
        """Returns whether the flag has a value."""
        return self.options[name] is not None

    def text(self, name: str) -> str:
        """Returns the value of a text flag.

        Raises:
          ConfigError: the flag is not given.
        """
        value = self.options[name]
        if value is None:
            raise ConfigError(f"{self.verb} needs --{name}", do=f"add --{name}=...")
        return str(value)

    def integer(self, name: str) -> int | None:
        """Returns the value of an integer flag, or None."""
        value = self.options[name]
        return None if value is None else int(str(value))

    def switch(self, name: str) -> bool:
        """Returns the value of a boolean flag."""
        return self.options[name] is True

    def path(self, name: str) -> Path:
        """Returns the file or folder that a flag names, with `~` expanded.

        Raises:
          ConfigError: the flag is not given, or names something that is not on this machine.
        """
        text = self.text(name)
        if is_remote(text):
            raise ConfigError(
                f"--{name}={text} is in a bucket; --{name} is a path on this machine",
                do="mount the bucket, as Cloud Storage FUSE does, and give the path below the mount",
            )
        return Path(text).expanduser()

    def required_experiment(self) -> Experiment:
        """Returns the experiment of `--config`.

        Raises:
          ConfigError: `--config` is not given.
        """
        if self.experiment is None:
            raise self._lacks_config()
        return self.experiment

    def required_config(self) -> str:
        """Returns the value of `--config`.

        Raises:
          ConfigError: it is not given.
        """
        if self.config is None:
            raise self._lacks_config()
        return self.config

    def _lacks_config(self) -> ConfigError:
        return ConfigError(f"{self.verb} needs --config", do="add --config=configs/digits_gauss.py")


def invoke(line: CommandLine) -> Invocation:
    """Builds the experiment that a command line describes.

    Raises:
      ConfigError: the config file or an override is wrong.
    """
    experiment = None if line.config is None else experiments.load(line.config)
    if experiment is not None and line.overrides:
        experiment = experiments.override(experiment, line.overrides)
    return Invocation(
        verb=line.verb,
        experiment=experiment,
        options=line.options,
        arguments=line.arguments,
        config=line.config,
        overrides=line.overrides,
    )
