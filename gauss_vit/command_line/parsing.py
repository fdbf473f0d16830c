"""A command line as a value: verb, flags, config file and overrides, checked without importing anything heavy.

absl splits `--name=value`, `--name value`, `--name` and `--noname`; the table of verbs defines their types and values.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from absl import flags

from gauss_vit.command_line.verb import CONFIG, Flag, OptionValue, Verb, Verbs
from gauss_vit.config.schema import nearest
from gauss_vit.errors import ConfigError

PROGRAM = "gauss-vit"
_OVERRIDE = re.compile(rf"--?(?P<negation>no)?(?P<name>{CONFIG}\.[^=]+)(?P<value>=.*)?", re.DOTALL)
# With these flags, absl would read further arguments from a file, and accept unknown ones.
_ABSL_FLAG = re.compile(r"--?(flagfile|undefok)(?:=|$)")
_NUMBER = re.compile(r"-\.?\d")


class UsageError(ConfigError):
    """The command line itself is wrong; `usage` is the line to show after the message."""

    default_code = "USAGE"

    def __init__(self, message: str, *, usage: str, do: str = "", code: str | None = None):
        super().__init__(message, do=do, code=code)
        self.usage = usage


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """A parsed command line.

    Attributes:
      verb: Name of the verb.
      options: Value of every flag of the verb, by name.
      config: `FILE` or `FILE:ARGUMENT` of `--config`; None if it is not given.
      overrides: Texts of `--config.KEY=VALUE` by key; True and False for `--config.KEY` and `--noconfig.KEY`.
      arguments: Words that are not flags.
    """

    verb: str
    options: Mapping[str, OptionValue]
    config: str | None
    overrides: Mapping[str, str | bool]
    arguments: tuple[str, ...]


def usage_line(verb: Verb) -> str:
    """Returns the usage line of a verb."""
    return f"usage: {PROGRAM} {verb.name} {verb.usage}"


def find_verb(arguments: Sequence[str], verbs: Verbs) -> Verb:
    """Returns the verb of a command line: its first word, or the default verb if it begins with a flag.

    Raises:
      UsageError: the command line is empty, or there is no such verb.
    """
    usage = f"usage: {PROGRAM} [VERB] FLAGS; {PROGRAM} --help lists the verbs"
    if not arguments:
        example = f"{PROGRAM} --config=configs/digits_gauss.py --workdir=runs/digits"
        raise UsageError("nothing to do", do=f"try {example}", usage=usage)
    if arguments[0].startswith("-"):
        return next(iter(verbs.values()))
    if arguments[0] not in verbs:
        suggestion = nearest(arguments[0], verbs)
        hint = f"did you mean {suggestion}?" if suggestion else f"known: {', '.join(verbs)}"
        raise UsageError(f"unknown verb {arguments[0]!r}; {hint}", usage=usage)
    return verbs[arguments[0]]


def parse(arguments: Sequence[str], verbs: Verbs) -> CommandLine:
    """Parses a command line.

    Args:
      arguments: Command line without the program's name.
      verbs: All verbs; the first is the default.

    Raises:
      UsageError: a verb or flag is unknown (the nearest name is suggested); a flag lacks its value, has a wrong one, or
        is given twice; or something that the verb needs is not given.
    """
    verb = find_verb(arguments, verbs)
    rest = list(arguments[1:] if arguments[0] == verb.name else arguments)
    flag_values = _declare(verb, rest)
    positional = _split(flag_values, rest, verb)
    repeated = [name for name in flag_values if flag_values[name].present > 1]
    if repeated:
        message = f"--{repeated[0]} is given {flag_values[repeated[0]].present} times"
        raise UsageError(message, usage=usage_line(verb))
    if positional and not verb.takes_arguments:
        message = f"unexpected argument {positional[0]!r}"
        raise UsageError(message, do="put the verb first, and -- before every flag", usage=usage_line(verb))
    texts = {name: flag_values[name].value for name in flag_values if name.startswith(f"{CONFIG}.")}
    line = CommandLine(
        verb=verb.name,
        options={flag.name: _read(flag, flag_values[flag.name].value, verb) for flag in verb.flags},
        config=None if verb.config == "none" else flag_values[CONFIG].value,
        overrides={name.removeprefix(f"{CONFIG}."): text for name, text in texts.items() if text is not None},
        arguments=positional,
    )
    _check_complete(line, verb)
    return line


def _declare(verb: Verb, arguments: Sequence[str]) -> flags.FlagValues:
    """Declares the flags of a verb and its config overrides, as texts or switches; types are checked later."""
    flag_values = flags.FlagValues()
    for flag in verb.flags:
        define = flags.DEFINE_bool if flag.type is bool else flags.DEFINE_string
        define(flag.name, None, flag.help, flag_values=flag_values)
    if verb.config != "none":
        flags.DEFINE_string(CONFIG, None, "The config file.", flag_values=flag_values)
        for name, is_switch in _overrides(arguments).items():
            define = flags.DEFINE_bool if is_switch else flags.DEFINE_string
            define(name, None, "A key of the config.", flag_values=flag_values)
    return flag_values


def _overrides(arguments: Sequence[str]) -> dict[str, bool]:
    """Finds every `--config.KEY` before `--`, and whether it has no value, which is allowed for booleans."""
    found: dict[str, bool] = {}
    before = _before_terminator(arguments)
    for argument, following in zip(before, [*before[1:], "-"], strict=False):
        match = _OVERRIDE.fullmatch(argument)
        if match is not None:
            has_value = match["value"] is not None or not following.startswith("-") or _NUMBER.match(following)
            found.setdefault(match["name"], bool(match["negation"] or not has_value))
    return found


def _before_terminator(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _split(flag_values: flags.FlagValues, arguments: Sequence[str], verb: Verb) -> tuple[str, ...]:
    """Parses the flags of a command line and returns the other words."""
    hidden = [match[1] for match in map(_ABSL_FLAG.match, _before_terminator(arguments)) if match]
    if hidden:
        raise _unknown_flag(hidden[0], flag_values, verb, config_of(arguments))
    _check_values_follow(flag_values, arguments, verb)
    try:
        return tuple(flag_values([PROGRAM, *arguments])[1:])
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error.flagname, flag_values, verb, config_of(arguments)) from error
    except flags.IllegalFlagValueError as error:
        name, _, value = str(error).removeprefix("flag --").partition(":")[0].partition("=")
        raise UsageError(f"--{name} must be true or false, got {value!r}", usage=usage_line(verb)) from error
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split()), usage=usage_line(verb)) from error


def _check_values_follow(flag_values: flags.FlagValues, arguments: Sequence[str], verb: Verb) -> None:
    """Refuses `--name --other`, where absl would take the second flag for the value of the first."""
    before = _before_terminator(arguments)
    for argument, following in pairwise(before):
        name = argument.lstrip("-")
        takes_value = argument.startswith("-") and name in flag_values and not flag_values[name].boolean
        if takes_value and following.startswith("--"):
            raise UsageError(f"Missing value for flag --{name}", usage=usage_line(verb))


def _unknown_flag(name: str, known: Iterable[str], verb: Verb, config: str | None) -> UsageError:
    if verb.config == "none" and re.fullmatch(rf"{CONFIG}|(no)?{CONFIG}\..*", name):
        return UsageError(f"{verb.name} takes no config", do=f"leave --{name} out", usage=usage_line(verb))
    negated = [f"no{flag.name}" for flag in verb.flags if flag.type is bool]
    suggestion = nearest(name, [*known, *negated])
    hint = f"; did you mean --{suggestion}?" if suggestion else ""
    may_be_key = config is not None and verb.config != "none" and not suggestion
    # Only the config file knows its keys, and it takes a second to run.
    remedy = f"write a key of the config as --{CONFIG}.KEY=VALUE; --help lists them" if may_be_key else ""
    return UsageError(f"unknown flag --{name}{hint}", do=remedy, usage=usage_line(verb))


def config_of(arguments: Sequence[str]) -> str | None:
    """Returns the value of `--config` without parsing the rest, which may be wrong or incomplete."""
    named = re.search(rf"(?:^|\0)--?{CONFIG}[=\0]([^\0]+)", "\0".join(arguments))
    return named[1] if named else None


def _no_config(name: str, verb: Verb) -> UsageError:
    return UsageError(f"--{name} needs a config to change", do="add --config=FILE", usage=usage_line(verb))


def _read(flag: Flag, value: OptionValue, verb: Verb) -> OptionValue:
    if value is None:
        return flag.default
    if not isinstance(value, str):
        return value
    try:
        return flag.read(value)
    except ValueError as error:
        raise UsageError(str(error), usage=usage_line(verb)) from error


def _check_complete(line: CommandLine, verb: Verb) -> None:
    """Checks that everything that the verb needs is given, and that overrides have a config to change."""
    if line.overrides and line.config is None:
        raise _no_config(f"{CONFIG}.{next(iter(line.overrides))}", verb)
    if verb.config == "required" and line.config is None:
        message, do = f"{verb.name} needs --config", "add --config=configs/digits_gauss.py"
        raise UsageError(message, do=do, usage=usage_line(verb), code="CONFIG")
    for flag in verb.flags:
        is_waived = bool(flag.waived_by) and line.options[flag.waived_by] is True
        if flag.required and not is_waived and line.options[flag.name] is None:
            message, do = f"{verb.name} needs --{flag.name}", f"add --{flag.name}={flag.value}"
            do += f", or --{flag.waived_by} to try it" if flag.waived_by else ""
            raise UsageError(message, do=do, usage=usage_line(verb), code="CONFIG")
