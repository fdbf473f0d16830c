"""Help of a config: every key with its value, type and meaning."""

import ast
import re
import shlex
import textwrap
import types
from dataclasses import is_dataclass
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from gauss_vit import experiment as experiments
from gauss_vit.command_line.verb import CONFIG
from gauss_vit.config import docs, loading, schema
from gauss_vit.config.keys import Key, keys_of

_LABEL = re.compile(r"\s+|\w+:\s+")


def config_help(source: str, *, width: int) -> str:
    """Describes a config file: its docstring, then its keys, group by group.

    Args:
      source: Value of `--config`, `FILE` or `FILE:ARGUMENT`.
      width: Columns of the terminal.

    Raises:
      ConfigError: the config cannot be loaded.
    """
    experiment = experiments.load(source)
    keys = keys_of(experiment)
    title = f"The keys of {source} with their values there:"
    lines = [*_wrapped(_docstring(loading.path_of(source)), width), "", *textwrap.wrap(title, width)]
    for group in (None, *(key for key in keys if key.is_group)):
        path = "" if group is None else group.path
        leaves = [key for key in keys if not key.is_group and _parent(key) == path]
        lines += ["", *([] if group is None else _heading(group, width))]
        lines += [line for key in leaves for line in _entry(key, _sentence(key), width, indent=2)]
    return "\n".join([*lines, ""])


def _docstring(path: Path) -> str:
    if path.suffix != ".py":
        return ""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _wrapped(text: str, width: int) -> list[str]:
    """Wraps long lines, indented to the text after their label or to their indentation; keeps the others."""
    lines = []
    for line in text.splitlines():
        label = _LABEL.match(line)
        indent = " " * (label.end() if label else 0)
        lines += textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
    return lines


def _parent(key: Key) -> str:
    *above, _ = schema.split(key.path)
    path = ""
    for name in above:
        path = schema.join(path, name)
    return path


def _heading(group: Key, width: int) -> list[str]:
    note = "" if group.value is not None else " A key below sets it, with the defaults below for the others."
    return _entry(group, _sentence(group) + note, width, indent=0)


def _entry(key: Key, sentence: str, width: int, *, indent: int) -> list[str]:
    """Formats a key with its value and type, and the text about it on lines below."""
    first = f"{' ' * indent}--{CONFIG}.{key.path}={_text(key)}"
    kind = f"({describe(key.annotation)})" if key.owner is not None else ""
    inside = " " * (indent + 4)
    if len(first) + len(kind) + 2 <= width:
        return [
            f"{first}  {kind}".rstrip(),
            *textwrap.wrap(sentence, width, initial_indent=inside, subsequent_indent=inside),
        ]
    text = f"{kind} {sentence}".strip()
    return [first, *textwrap.wrap(text, width, initial_indent=inside, subsequent_indent=inside)]


def describe(annotation: object) -> str:
    """Describes the values that a key takes, more briefly than `schema.describe`.

    >>> describe(tuple[int, int] | None)
    '2 integers or None'
    """
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(describe(member) for member in arguments)
    if get_origin(annotation) is Literal:
        return "|".join(str(choice) for choice in arguments)
    if get_origin(annotation) is tuple:
        names = {name for item in arguments for name in schema.dataclass_members(item)}
        return " or ".join(sorted(names)) or schema.describe(annotation).removeprefix("a tuple of ")
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation.__name__
    return schema.describe(annotation).removeprefix("an ").removeprefix("a ")


def _sentence(key: Key) -> str:
    """Returns the text about a key, from its dataclass's docstring; for an item of a tuple, from the item's class."""
    if key.owner is None:
        return docs.summary(type(key.value))
    return docs.attribute_docs(key.owner).get(key.name, "")


def _text(key: Key) -> str:
    """Formats a value as it is typed; "..." for a required value that is missing."""
    if key.value is None and types.NoneType not in get_args(key.annotation):
        return "..."
    return _written(key.value)


def _written(value: object) -> str:
    if is_dataclass(value):
        return type(value).__name__
    if not isinstance(value, tuple):
        return shlex.quote(str(value))
    if value and all(is_dataclass(item) or isinstance(item, int | float) for item in value):
        return ",".join(_written(item) for item in value)
    return shlex.quote(repr(value)) if len(value) != 1 else _written(value[0])
