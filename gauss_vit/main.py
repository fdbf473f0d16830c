"""The command line: `gauss-vit VERB ...`, the same as `python -m gauss_vit.main VERB ...`.

Help, `--version` and every answer to a wrong command line are made from the table of verbs, before anything heavy is
imported. Then the config is loaded and checked, the processes of the run join, and only then is the verb's module
imported and run. Whatever goes wrong ends in one line on standard error and an exit status.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # With `-m`, the current folder comes first: a jax.py that came with somebody's data would be imported from there.
    del sys.path[0]

import functools
import importlib
import logging
import os
import shutil
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from absl import flags

from gauss_vit import __version__
from gauss_vit.command_line import completion, console, parsing
from gauss_vit.command_line import help as help_pages
from gauss_vit.command_line.parsing import PROGRAM, CommandLine, UsageError
from gauss_vit.commands.verbs import VERBS
from gauss_vit.distributed import ending
from gauss_vit.errors import (
    ConfigError,
    LimitError,
    UserError,
    is_out_of_memory,
    is_out_of_threads,
    memory_error,
)
from gauss_vit.escaping import LogFormatter

BUG, INTERRUPTED = 1, 130
_NOT_FOR_OTHERS = 0o022
_START_SECONDS = 300.0
_WIDEST = 120
_INVOCATION = "gauss_vit.command_line.invocation"
_START, _PROCESSES = "gauss_vit.distributed.start", "gauss_vit.distributed.processes"
_PEERS = "gauss_vit.distributed.peers"
_LESS_MEMORY = "use smaller batches or fewer images at a time, or a device with more memory"
_HELP = frozenset({"--help", "-h", "-help", "help"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      arguments: the command line without the program's name; the process's own by default.

    Returns:
      The exit status: 0, that of the `UserError` (2 to 8), 1 for a bug of this program, 130 after Ctrl-C.
    """
    flags.FLAGS.mark_as_parsed()
    console.prepare()
    with _writable_by_owner_only():
        watch = ExitStack()
        try:
            status = _status(tuple(sys.argv[1:] if arguments is None else arguments), watch)
        except SystemExit as end:
            _leave(end.code, watch)
            raise
        _leave(status, watch)
    if status and arguments is None:
        _end_now(status)
    return status


def _status(given: Sequence[str], watch: ExitStack) -> int:
    """Runs one verb, and reports what goes wrong, here or in another process."""
    workdir = None
    try:
        answer = _answer(given)
        if answer is not None:
            console.say(answer.removesuffix("\n"))
            return 0
        line = parsing.parse(given, VERBS)
        workdir = _workdir(line)
        _run(line, watch)
        return 0
    except UsageError as error:
        return _report(error, after=f"\n{error.usage}")
    except KeyboardInterrupt:
        return _say_error(f"{PROGRAM}: interrupted", status=INTERRUPTED)
    except console.ReaderGoneError:
        return 0
    except Exception as error:
        reason = _reason(_explained(error))
        return _report(reason) if isinstance(reason, UserError) else _report_bug(reason, workdir)


def _run(line: CommandLine, watch: ExitStack) -> None:
    invocation = _function(_INVOCATION, "invoke", needed_by=line.verb)(line)
    with _console() as terminal:
        count = _join(line, invocation.experiment, terminal) if "distributed" in line.options else 1
        if count > 1:
            watch.enter_context(_function(_PEERS, "watched", needed_by=line.verb)())
        _function("gauss_vit.assembly.compilation_cache", "keep", needed_by=line.verb)()
        run = functools.partial(_runner(line.verb), invocation)
        if count == 1 or VERBS[line.verb].is_shared:
            run()
        else:
            _function(_PROCESSES, "on_first", needed_by=line.verb)(line.verb, run)


def _join(line: CommandLine, experiment: object, terminal: logging.Handler) -> int:
    """Joins the processes of the run, and returns their number; all but the first are quiet, except for errors."""
    platform = getattr(experiment, "platform", "any")
    limit = line.options.get("limit") or getattr(getattr(experiment, "limits", None), "start", _START_SECONDS)
    join = _function(_START, "start", needed_by=line.verb)
    index, count = join(str(line.options["distributed"]), platform=platform, limit=float(str(limit)))
    if count > 1:
        console.separate_output()
    if index > 0:
        terminal.setLevel(logging.ERROR)
        console.discard_output()
    return count


def _explained(error: Exception) -> Exception:
    """Returns an error that says what the system lacks as one that the user can correct, and others as they are."""
    if isinstance(error, UserError):
        return error
    if is_out_of_memory(error):
        return memory_error(error, PROGRAM, do=_LESS_MEMORY)
    if is_out_of_threads(error):
        return LimitError(f"the system allows no more threads: {error}", do="raise ulimit -u, or end other programs")
    return error


def _reason(error: Exception) -> Exception:
    """Returns why the program ends, which another process may know better, and tells it the others."""
    if _PEERS not in sys.modules:
        return error
    peers = vars(sys.modules[_PEERS])
    reason = peers["cause"](error)
    peers["tell"](reason)
    return reason


def _leave(status: int | str | None, watch: ExitStack) -> None:
    """Leaves the processes of the run, if this one has joined any; up to then they watch over each other."""
    if _START in sys.modules:
        vars(sys.modules[_START])["leave"](status if isinstance(status, int) else BUG, at_last=watch.close)


def _end_now(status: int) -> None:
    """Ends the process after an error, if threads are left that Python would wait for.

    orbax leaves some where a folder of a checkpoint cannot be made: they wait ten minutes for what will not come.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _answer(arguments: Sequence[str]) -> str | None:
    """Returns what is asked of the program itself (help, version, completion); None where a verb is to be run."""
    if arguments[:1] == ("--version",):
        return f"{PROGRAM} {__version__}\n"
    if arguments[:1] == ("completion",) and not _HELP.intersection(arguments):
        return completion.script(completion.shell_of(arguments[1:]), VERBS)
    if not _HELP.intersection(arguments):
        return None
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    others = [argument for argument in arguments if argument not in _HELP]
    if not others or others == ["completion"]:
        return help_pages.program_help(VERBS, width=width)
    verb = parsing.find_verb(others, VERBS)
    page = help_pages.verb_help(verb, width=width)
    config = None if verb.config == "none" else parsing.config_of(others)
    if config is None:
        return page
    config_help = _function("gauss_vit.command_line.config_help", "config_help", needed_by=PROGRAM)
    return f"{page}\n{config_help(config, width=width)}"


def _runner(verb: str) -> Callable[..., Any]:
    return _function(VERBS[verb].module, "run", needed_by=verb)


def _function(module: str, name: str, *, needed_by: str) -> Callable[..., Any]:
    """Imports a function by name: its module needs libraries that most answers of this program do without.

    Raises:
      ConfigError: a library is not installed.
    """
    try:
        return vars(importlib.import_module(module))[name]
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gauss_vit"):
            raise
        raise _missing(error.name, needed_by) from error


def _missing(module: str, needed_by: str) -> ConfigError:
    if module == "fcntl":  # Part of Python on every other system.
        return ConfigError(f"{PROGRAM} needs Linux or macOS", do="on Windows, run it in WSL", code="DEP")
    return ConfigError(f"{needed_by} needs {module}", do="install it", code="DEP")


@contextmanager
def _console() -> Iterator[logging.Handler]:
    """Shows what the package logs on standard error, as it is; other libraries' root handlers would repeat it."""
    logger = logging.getLogger("gauss_vit")
    handler, level, propagates = logging.StreamHandler(), logger.level, logger.propagate
    handler.setFormatter(LogFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            # Large images are refused in the words of this program, by its own limit.
            warnings.filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")
            yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


@contextmanager
def _writable_by_owner_only() -> Iterator[None]:
    """Makes every file and folder, also those of libraries, writable for nobody but its owner, whatever the umask."""
    before = os.umask(_NOT_FOR_OTHERS)
    os.umask(before | _NOT_FOR_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def _workdir(line: CommandLine) -> Path | None:
    named = line.options.get("workdir")
    return None if named is None else Path(str(named)).expanduser()


def _report(error: UserError, *, after: str = "") -> int:
    return _say_error(ending.line(error) + after, status=error.exit_status)


def _report_bug(error: Exception, workdir: Path | None) -> int:
    """Writes the traceback to a file in the workdir or in the temporary folder, and reports the bug in one line."""
    text = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    try:
        handle, name = tempfile.mkstemp(prefix="crash-", suffix=".log", dir=workdir)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        console.remark(text)
        name = "the lines above"
    return _say_error(f"gauss_vit: error[BUG]: {what} (traceback in {name}). DO: please report it", status=BUG)


def _say_error(line: str, *, status: int) -> int:
    console.remark(line)
    return status


if __name__ == "__main__":
    sys.exit(main())
