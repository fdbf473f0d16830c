"""Verbs and flags as values; `gauss_vit.commands.verbs` is the table of them.

Nothing heavy is imported here: help, completion and messages about wrong flags need only these values.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OptionValue = str | int | float | bool | None
FlagType = type[str] | type[int] | type[float] | type[bool]

CONFIG = "config"
"""The flag that names a config file; `--config.KEY=VALUE` changes a value in it."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of a verb, `--name=value`.

    Attributes:
      name: Name without dashes.
      help: One sentence about the flag.
      value: Placeholder for its value in the help: DIR and FILE are completed as paths, MODEL as the name of a preset.
      type: Type of its value; a bool is written `--name` or `--noname`.
      default: Value if the flag is not given; None for no value.
      lowest: Smallest number allowed.
      highest: Largest number allowed.
      choices: All allowed values; empty if any text is allowed.
      required: Whether the flag must be given.
      waived_by: Name of a switch with which it need not be given; empty for none.
    """

    name: str
    help: str
    value: str = "TEXT"
    type: FlagType = str
    default: OptionValue = None
    lowest: int | float | None = None
    highest: int | float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    waived_by: str = ""

    def read(self, text: str) -> OptionValue:
        """Converts the text of a command line.

        Raises:
          ValueError: the text is not a value of this flag.
        """
        if self.choices and text not in self.choices:
            *others, last = self.choices
            raise ValueError(f"--{self.name} must be {' or '.join([', '.join(others), last])}, got {text!r}")
        if self.type is str:
            return text
        try:
            value = int(text) if self.type is int else float(text)
        except ValueError:
            value = math.nan
        if not self._lowest <= value <= self._highest:
            raise ValueError(f"--{self.name} must be {self._describe()}, got {text!r}")
        return value

    @property
    def _lowest(self) -> int | float:
        return -math.inf if self.lowest is None else self.lowest

    @property
    def _highest(self) -> int | float:
        return math.inf if self.highest is None else self.highest

    def _describe(self) -> str:
        noun = "an integer" if self.type is int else "a number"
        if self.lowest is None:
            return noun
        return f"{noun} from {self.lowest:g} to {self.highest:g}" if self.highest else f"{noun} >= {self.lowest:g}"


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A word that may follow the program's name.

    Attributes:
      name: The word.
      summary: One line that describes the verb.
      usage: Flags and arguments after the word, in one line.
      module: Module with its `run(invocation)`; imported when the verb is run.
      flags: Flags of the verb, without `--config`.
      config: Whether it takes, or requires, `--config` and `--config.KEY=VALUE`.
      takes_arguments: Whether it takes words that are not flags, such as file names.
      is_shared: Whether several processes compute it together; otherwise the first does, and the others wait for it.
    """

    name: str
    summary: str
    usage: str
    module: str
    flags: tuple[Flag, ...] = ()
    config: Literal["none", "optional", "required"] = "none"
    takes_arguments: bool = False
    is_shared: bool = False


Verbs = Mapping[str, Verb]
"""Verbs by name."""
