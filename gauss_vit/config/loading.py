"""Loads config files: Python that returns a dataclass or a ConfigDict with its keys, or JSON, which holds only data.

A Python config is code that the user runs on purpose; an error in it is reported with its file and line. A JSON config
is checked against the same annotations and can only become values of these types.
"""

import functools
import importlib.abc
import importlib.util
import inspect
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar, cast

from ml_collections import ConfigDict

from gauss_vit.config import schema
from gauss_vit.errors import ConfigError, UserError
from gauss_vit.files import read_json as read_json_file

Config = TypeVar("Config")


class _SourceLoader(importlib.abc.FileLoader, importlib.abc.SourceLoader):
    """Compiles a file on every load, so that bytecode is never stale and none is written beside the user's file."""


def load(source: str, config_type: type[Config], *, function: str = "get_config") -> Config:
    """Builds the config that a file describes.

    Args:
      source: `FILE.json`, `FILE.py`, or `FILE.py:ARGUMENT`, where the file defines `get_config()` or, with an argument,
        `get_config(argument)` and the argument is passed as text.
      config_type: Dataclass that the file must return or describe in a ConfigDict.
      function: Function of a Python file that returns it.

    Raises:
      ConfigError: the file is missing, fails, or returns something else; one line names everything that is wrong.
    """
    path, argument = path_of(source), argument_of(source)
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigError(f"config file {path} {kind}", do="give --config the path of a .py or .json file")
    if path.suffix == ".json":
        return read_json(path, config_type)
    if path.suffix != ".py":
        raise ConfigError(f"config file {path} is neither .py nor .json")
    return _load_python(path, argument, config_type, function=function)


def read_json(path: Path, config_type: type[Config], *, known: Sequence[type] = ()) -> Config:
    """Builds the config that a JSON file describes; nothing in it is executed or imported.

    Args:
      path: Path of the file.
      config_type: Dataclass that the file describes.
      known: Dataclasses that it may name besides those of the annotations; see `schema.conform`.

    Raises:
      ConfigError: the file is not JSON, or its values are not of the config's types.
    """
    try:
        data = read_json_file(path, pairs=_unique)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    return build(data, config_type, where=str(path), known=known)


def build(value: object, config_type: type[Config], *, where: str = "", known: Sequence[type] = ()) -> Config:
    """Checks an instance or decoded JSON and builds the config from it.

    Args:
      value: Content of a file.
      config_type: Dataclass to build.
      where: File, for the message.
      known: Dataclasses that JSON may name besides those of the annotations; see `schema.conform`.

    Raises:
      ConfigError: the value does not fit the dataclass; one line names everything that is wrong.
    """
    try:
        return cast(Config, schema.conform(value, config_type, known=known))
    except schema.MismatchError as mismatch:
        raise schema.config_error(mismatch.problems, where=where) from mismatch


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"the key {min(key for key in counts if counts[key] > 1)!r} occurs twice in one object")
    return values


def path_of(source: str) -> Path:
    """Returns the file of `FILE.py:ARGUMENT` or `FILE`."""
    name, separator, _ = source.partition(".py:")
    return Path(name + ".py" if separator else source).expanduser()


def argument_of(source: str) -> str | None:
    """Returns the argument of `FILE.py:ARGUMENT`, which may contain further colons; None if there is none."""
    _, separator, argument = source.partition(".py:")
    return argument if separator else None


def _load_python(path: Path, argument: str | None, config_type: type[Config], *, function: str) -> Config:
    run = functools.partial(_run, path, argument, function)
    try:
        value = run()
    except ConfigFileError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise _located_error(error, path, _complaints(run, config_type)) from error
    if isinstance(value, ConfigDict):
        value = value.to_dict()
    elif type(value) is not config_type:
        name = config_type.__name__
        raise ConfigError(f"{path}: {function} must return {name}, got {type(value).__name__}")
    return build(value, config_type, where=str(path))


class ConfigFileError(ValueError):
    """A config file has no usable function."""


def _run(path: Path, argument: str | None, function: str) -> object:
    """Executes the file and calls its function."""
    module = _execute(path)
    if function not in vars(module):
        raise ConfigFileError(f"there is no function {function}")
    get: Callable[..., object] = vars(module)[function]
    if not callable(get):
        raise ConfigFileError(f"{function} is not a function")
    arguments = () if argument is None else (argument,)
    try:
        inspect.signature(get).bind(*arguments)
    except TypeError as error:
        problem = "needs an argument, as in --config=FILE.py:ARGUMENT" if argument is None else "takes no argument"
        raise ConfigFileError(f"{function} {problem}") from error
    return get(*arguments)


def _execute(path: Path) -> ModuleType:
    """Imports a file under a unique name; its folder is not added to the import path, but `__file__` says where it is.

    Annotations that are text, as with `from __future__ import annotations`, are looked up in `sys.modules`.
    """
    name = f"gauss_vit_config_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise ConfigFileError("it cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _located_error(error: BaseException, path: Path, complaints: Sequence[schema.Problem]) -> ConfigError:
    """Returns an error about the failing line of the user's file, or about everything that is wrong with its values."""
    line = _line_of(error, path)
    where = f"{path} line {line}" if line else str(path)
    if complaints:
        return schema.config_error(complaints, where=where if len(complaints) == 1 else str(path))
    if isinstance(error, UserError):
        return ConfigError(f"{where}: {error.message}", do=error.do)
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return ConfigError(f"{where}: {type(error).__name__}: {text}"[:500])


def _line_of(error: BaseException, path: Path) -> int | None:
    """Returns the last line of the file that was running, or that does not parse."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _complaints(run: Callable[[], object], config_type: type) -> tuple[schema.Problem, ...]:
    """Lists everything that is wrong with the values of a file whose first wrong value has already raised.

    The exception is often not the cause: a text in place of a number fails in a comparison inside a constructor. So the
    file runs once more, with constructors that accept anything, and the result is checked as a whole. If that fails,
    too, the list is empty.
    """
    try:
        with _recording(schema.config_types(config_type)):
            value = run()
    except (Exception, SystemExit):
        return ()
    try:
        schema.conform(value, config_type)
    except schema.MismatchError as mismatch:
        return mismatch.problems
    return ()


@contextmanager
def _recording(config_types: Sequence[type]) -> Iterator[None]:
    """Replaces constructors by ones that keep their arguments without any checks."""

    def record(self: object, **given: object) -> None:
        vars(self).update(given)

    originals = {config_type: config_type.__init__ for config_type in config_types}
    for config_type in config_types:
        config_type.__init__ = record  # pyrefly: ignore
    try:
        yield
    finally:
        for config_type, original in originals.items():
            config_type.__init__ = original
