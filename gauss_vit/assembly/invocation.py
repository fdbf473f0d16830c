"""What a verb is: a module with `run(invocation)`, and a function in `verb_flags.py` that declares its flags.

The two are apart because a wrong flag or config must be answered at once: `main` parses the command line and builds the
experiment before it imports the verb's module, which may pull in checkpoint, data set and plotting libraries.

A verb's module is composition only. It reads flags with the methods below, says results with `say`, raises a
`gauss_vit.errors.UserError` for whatever the user can put right, and returns nothing; `main` makes the exit status.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment

OptionValue = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A parsed command line.

    Attributes:
      verb: the word after the program's name.
      experiment: what `--config` and its overrides say; None without `--config`.
      options: the value of every flag that the verb declares, by name; None where a flag without default is not given.
      arguments: what is left after the flags, such as file names.
    """

    verb: str
    experiment: Experiment | None
    options: Mapping[str, OptionValue]
    arguments: tuple[str, ...]

    def is_given(self, name: str) -> bool:
        """Whether the flag has a value."""
        return self.options[name] is not None

    def text(self, name: str) -> str:
        """The value of a text flag.

        Raises:
          ConfigError: the flag is not given.
        """
        value = self.options[name]
        if value is None:
            raise ConfigError(f"{self.verb} needs --{name}", do=f"add --{name}=...")
        return str(value)

    def integer(self, name: str) -> int | None:
        """The value of a whole-number flag, or None."""
        value = self.options[name]
        return None if value is None else int(str(value))

    def switch(self, name: str) -> bool:
        """The value of a yes-or-no flag."""
        return self.options[name] is True

    def path(self, name: str) -> Path:
        """The file or folder that a flag names, with `~` expanded.

        Raises:
          ConfigError: the flag is not given.
        """
        return Path(self.text(name)).expanduser()

    def required_experiment(self) -> Experiment:
        """The experiment of `--config`.

        Raises:
          ConfigError: `--config` is not given.
        """
        if self.experiment is None:
            raise ConfigError(f"{self.verb} needs --config", do="add --config=configs/digits_gauss.py")
        return self.experiment


def say(line: str) -> None:
    """Writes a line to standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def warn(line: str) -> None:
    """Writes a warning to standard error, at once."""
    sys.stderr.write(f"gauss_vit: warning: {line}\n")
    sys.stderr.flush()
