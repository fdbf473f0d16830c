"""The command line: `gauss-vit VERB ...`, the same as `python -m gauss_vit.main VERB ...`.

Everything is checked before anything heavy is imported: verb, config file, overrides, flags; then the verb's module is
loaded from the table below and run. Whatever goes wrong ends in one line on standard error and an exit status.
"""

import difflib
import importlib
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from absl import flags

from gauss_vit import experiment
from gauss_vit.assembly import compilation_cache
from gauss_vit.assembly.invocation import Invocation
from gauss_vit.commands import verb_flags
from gauss_vit.config import overrides, schema
from gauss_vit.errors import ConfigError, UserError

PROGRAM = "gauss-vit"
DEFAULT_VERB = "train"
BUG, INTERRUPTED = 1, 130


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One word of the command line.

    Attributes:
      module: where its `run(invocation)` is.
      define: declares its flags.
      takes_config: whether `--config` and overrides mean anything to it.
      usage: its line in the help.
      takes_arguments: whether words that are not flags, such as file names, mean anything to it.
    """

    module: str
    define: Callable[[flags.FlagValues], None]
    takes_config: bool
    usage: str
    takes_arguments: bool = False


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "train": Verb(
            module="gauss_vit.commands.train",
            define=verb_flags.define_train,
            takes_config=True,
            usage="--config=FILE [--config.KEY=VALUE ...] --workdir=W    train; the same command resumes",
        ),
        "evaluate": Verb(
            module="gauss_vit.commands.evaluate",
            define=verb_flags.define_evaluate,
            takes_config=True,
            usage="--workdir=W [--best] [--ema] [--subset=imagenet_a]    metrics of the newest checkpoint",
        ),
        "probe": Verb(
            module="gauss_vit.commands.probe",
            define=verb_flags.define_probe,
            takes_config=True,
            usage="--workdir=W [--ema] [--shots=10]    frozen features: nearest neighbours and a linear classifier",
        ),
        "erf": Verb(
            module="gauss_vit.commands.erf",
            define=verb_flags.define_erf,
            takes_config=False,
            usage="(--workdir=W | --model=NAME [--weights=F]) --images=DIR --out=DIR    effective receptive field",
        ),
        "compare": Verb(
            module="gauss_vit.commands.compare",
            define=verb_flags.define_compare,
            takes_config=False,
            usage="A.npz B.npz ... --out=FILE    receptive fields of several models, and their differences",
            takes_arguments=True,
        ),
        "position": Verb(
            module="gauss_vit.commands.position",
            define=verb_flags.define_position,
            takes_config=False,
            usage="(--workdir=W | --model=NAME [--weights=F]) --out=DIR [--images=DIR]    what is known of positions",
        ),
        "report": Verb(
            module="gauss_vit.commands.report",
            define=verb_flags.define_report,
            takes_config=False,
            usage="(--workdir=W | --model=NAME [--weights=F]) [--images=DIR] --out=F.html    a page to explore patches",
        ),
        "movie": Verb(
            module="gauss_vit.commands.movie",
            define=verb_flags.define_movie,
            takes_config=False,
            usage="W [--out=F.gif] [--fps=4]    what a run observed of itself, step by step",
            takes_arguments=True,
        ),
        "convert": Verb(
            module="gauss_vit.commands.convert",
            define=verb_flags.define_convert,
            takes_config=True,
            usage="(--workdir=W --to=timm --out=F | --weights=F --model=NAME --workdir=W)    weights out and in",
        ),
        "data": Verb(
            module="gauss_vit.commands.data",
            define=verb_flags.define_data,
            takes_config=True,
            usage="check --config=FILE | prepare --from=DIR --name=NAME --data_dir=DIR [--size=256]    data sets",
            takes_arguments=True,
        ),
        "show": Verb(
            module="gauss_vit.commands.show",
            define=verb_flags.define_show,
            takes_config=True,
            usage="--config=FILE [--mesh=8]    parameters, shardings, FLOPs and memory; runs nothing",
        ),
    }
)


class UsageError(ConfigError):
    """The command line itself is wrong; the usage is shown before the message."""

    default_code = "USAGE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      arguments: the command line without the program's name; the process's own by default.

    Returns:
      The exit status: 0, that of the `UserError` (2 to 8), 1 for a bug of this program, 130 after Ctrl-C.
    """
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    flags.FLAGS.mark_as_parsed()
    workdir = None
    try:
        if _asks_for_help(given):
            sys.stdout.write(_help(given))
            return 0
        invocation = parse(given)
        workdir = _workdir(invocation)
        with _console():
            compilation_cache.keep()
            _runner(invocation.verb)(invocation)
        return 0
    except UsageError as error:
        return _report(error, before=usage())
    except UserError as error:
        return _report(error)
    except KeyboardInterrupt:
        return _say_error(f"{PROGRAM}: interrupted", status=INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report_bug(error, workdir)


def parse(arguments: Sequence[str]) -> Invocation:
    """Reads a command line and builds the experiment that it describes.

    Args:
      arguments: the command line without the program's name.

    Raises:
      UsageError: no such verb or flag, a flag without value or given twice; the nearest name is suggested.
      ConfigError: the config file or an override is wrong.
    """
    verb_name, rest = _split_verb(arguments)
    verb = VERBS[verb_name]
    source, rest = _split_config(rest) if verb.takes_config else (None, rest)
    base = None if source is None else experiment.load(source)
    keys = None if base is None else overrides.keys_of(base)
    flag_values = flags.FlagValues()
    verb.define(flag_values)
    names = tuple(flag_values)
    argv = [PROGRAM, *rest]
    if keys is not None:
        overrides.define(flag_values, keys, argv)
    positional = _parse_flags(flag_values, argv, keys)
    if positional and not verb.takes_arguments:
        raise UsageError(f"unexpected argument {positional[0]!r}", do="put the verb first, and -- before every flag")
    changed = None
    if base is not None and keys is not None:
        changed = experiment.override(base, overrides.read(flag_values, keys))
    options = {name: flag_values[name].value for name in names}
    return Invocation(verb=verb_name, experiment=changed, options=options, arguments=positional)


def usage() -> str:
    """The help in few lines: every verb with its flags."""
    lines = [f"  {name:<9} {verb.usage}" for name, verb in VERBS.items()]
    first = f"usage: {PROGRAM} [VERB] FLAGS    (no verb is {DEFAULT_VERB}; `VERB --help` lists flags)"
    return "\n".join([first, *lines, ""])


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return any(argument in ("--help", "-h", "-help", "help") for argument in arguments)


def _help(arguments: Sequence[str]) -> str:
    """The flags of a verb, or the usage."""
    if not arguments or arguments[0] not in VERBS:
        return usage()
    verb = VERBS[arguments[0]]
    flag_values = flags.FlagValues()
    verb.define(flag_values)
    lines = [f"  --{name}  {flag_values[name].help}" for name in flag_values]
    return "\n".join([f"usage: {PROGRAM} {arguments[0]} {verb.usage}", *lines, ""])


def _split_verb(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not arguments:
        raise UsageError("nothing to do", do=f"try {PROGRAM} --config=configs/digits_gauss.py --workdir=runs/digits")
    if arguments[0].startswith("-"):
        return DEFAULT_VERB, arguments
    if arguments[0] not in VERBS:
        close = difflib.get_close_matches(arguments[0], VERBS, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; known: {', '.join(VERBS)}"
        raise UsageError(f"unknown verb {arguments[0]!r}{hint}")
    return arguments[0], arguments[1:]


def _split_config(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Takes `--config=FILE` or `--config FILE` out of a command line."""
    sources, rest = [], []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        name, separator, value = argument.partition("=")
        if name not in ("--config", "-config"):
            rest.append(argument)
        elif separator or pending:
            sources.append(value if separator else pending.pop(0))
        else:
            raise UsageError("--config needs a file", do="write --config=FILE")
    if len(sources) > 1:
        raise UsageError(f"--config is given {len(sources)} times: {', '.join(sources)}")
    return (sources[0] if sources else None), rest


def _parse_flags(flag_values: flags.FlagValues, argv: Sequence[str], keys: overrides.Keys | None) -> tuple[str, ...]:
    """Parses a command line into its flags and gives what is left."""
    try:
        positional = flag_values(list(argv))[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error.flagname, flag_values, keys) from error
    except (flags.Error, OSError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    repeated = [name for name in flag_values if flag_values[name].present > 1]
    if repeated:
        raise UsageError(f"--{repeated[0]} is given {flag_values[repeated[0]].present} times")
    return tuple(positional)


def _unknown_flag(name: str, flag_values: flags.FlagValues, keys: overrides.Keys | None) -> UsageError:
    if keys is None and name.removeprefix("no").startswith(f"{overrides.PREFIX}."):
        return UsageError(f"--{name} needs a config to change", do="add --config=FILE to a verb that takes one")
    config_keys = [] if keys is None else [f"{overrides.PREFIX}.{leaf}" for leaf in keys.leaves]
    suggestion = schema.nearest(name, [*flag_values, *config_keys])
    hint = f"; did you mean --{suggestion}?" if suggestion else ""
    return UsageError(f"unknown flag --{name}{hint}")


def _runner(verb: str) -> Callable[[Invocation], None]:
    """Imports a verb's module, which may need libraries that others do not."""
    try:
        module = importlib.import_module(VERBS[verb].module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gauss_vit"):
            raise
        raise ConfigError(f"{verb} needs {error.name}", do="install it", code="DEP") from error
    return vars(module)["run"]


@contextmanager
def _console() -> Iterator[None]:
    """Shows what the package logs on standard error, as it is; other libraries' root handlers would say it twice."""
    logger = logging.getLogger("gauss_vit")
    handler, level, propagates = logging.StreamHandler(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


def _workdir(invocation: Invocation) -> Path | None:
    is_named = "workdir" in invocation.options and invocation.is_given("workdir")
    return invocation.path("workdir") if is_named else None


def _report(error: UserError, *, before: str = "") -> int:
    remedy = f". DO: {error.do}" if error.do else ""
    line = " ".join(f"gauss_vit: error[{error.code}]: {error.message}{remedy}".split())
    return _say_error(before + line, status=error.exit_status)


def _report_bug(error: Exception, workdir: Path | None) -> int:
    """Keeps the traceback in the workdir, or on standard error where there is none, and says so in one line."""
    text = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    try:
        handle, name = tempfile.mkstemp(prefix="crash-", suffix=".log", dir=workdir)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        sys.stderr.write(text)
        name = "the lines above"
    return _say_error(f"gauss_vit: error[BUG]: {what} (traceback in {name}). DO: please report it", status=BUG)


def _say_error(line: str, *, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
