"""A study as a value: which arms are compared, with which seeds, by which number."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from gauss_vit.config import loading
from gauss_vit.errors import ConfigError

OWN_FOLDER = "study"
"""Folder of a study's own records and logs, beside those of the arms."""

Unit = Literal["%", ""]
Weights = Literal["last", "ema", "best"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MOST_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the things that are compared.

    Attributes:
      name: name of the arm, and of its folder.
      argument: argument of the config file's `get_config` that gives its experiment; None is the name.
    """

    name: str
    argument: str | None = None

    def __post_init__(self):
        if not _NAME.fullmatch(self.name) or self.name == OWN_FOLDER:
            raise ConfigError(f"the name of an arm must be letters, digits, _ and -, and not study, got {self.name!r}")

    @property
    def config_argument(self) -> str:
        """The argument of `get_config`."""
        return self.name if self.argument is None else self.argument


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arms times seeds. The `get_study` of a config file returns one, and its `get_config` the experiment of an arm.

    Attributes:
      title: what is asked, in a few words.
      arms: what is compared.
      seeds: seeds of every arm. A seed decides the order of the data for all arms.
      baseline: name of the arm that the others are compared with.
      metric: name of the number in the `evaluation.json` of a run.
      unit: "%" for a share in 0..1, which is shown in per cent; "" shows the number as it is.
      weights: what is measured: the parameters of the last step, their moving average, or the best checkpoint.
      split: split to measure on; None is `data.eval_split`.
      hours_per_run: hours that one run is expected to take, on the machine that the config file names.

    Raises:
      ConfigError: arms or seeds occur twice or are missing, the baseline is not an arm, or another value is none of
        those above.
    """

    title: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    baseline: str
    metric: str = "top1"
    unit: Unit = "%"
    weights: Weights = "last"
    split: str | None = None
    hours_per_run: float

    def __post_init__(self):
        names = [arm.name for arm in self.arms]
        for what, given in (("arms", names), ("seeds", self.seeds)):
            if not given or len(set(given)) < len(given):
                raise ConfigError(f"a study needs {what}, each once, got {', '.join(map(str, given)) or 'none'}")
        if any(not 0 <= seed <= _MOST_SEED for seed in self.seeds):
            raise ConfigError(f"seeds must be in 0 .. 2^32 - 1, got {', '.join(map(str, self.seeds))}")
        if self.baseline not in names:
            raise ConfigError(f"the baseline {self.baseline!r} is not an arm", do=f"choose one of {', '.join(names)}")
        for what, given, known in (("unit", self.unit, get_args(Unit)), ("weights", self.weights, get_args(Weights))):
            if given not in known:
                raise ConfigError(f"{what} must be one of {', '.join(map(repr, known))}, got {given!r}")
        if self.hours_per_run <= 0:
            raise ConfigError(f"hours_per_run must be above 0, got {self.hours_per_run}")

    @property
    def scale(self) -> float:
        """What a number is multiplied with to be in `unit`."""
        return 100.0 if self.unit == "%" else 1.0


def shown(value: float, unit: Unit) -> str:
    """Formats a number of a study.

    >>> shown(0.3456, "%"), shown(1.23456, "")
    ('34.56 %', '1.235')
    """
    return f"{100 * value:.2f} %" if unit == "%" else f"{value:.4g}"


def load(source: str) -> Study:
    """Loads the study of a config file.

    Args:
      source: path of a Python file with `get_study()` and `get_config(argument)`.

    Raises:
      ConfigError: with everything that is wrong in the file.
    """
    if loading.argument_of(source) is not None:
        raise ConfigError(
            f"--config={source} names one experiment; a study runs those of all its arms",
            do=f"write --config={loading.path_of(source)}",
        )
    return loading.load(source, Study, function="get_study")
