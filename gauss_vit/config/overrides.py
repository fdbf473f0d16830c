"""Command-line overrides, `--config.KEY=VALUE`, of a config that is a tree of frozen dataclasses.

ml_collections' `config_flags` parses the flags but sets attributes, which frozen dataclasses refuse. So it is given a
locked `ConfigDict` with the same keys whose values are the texts of the command line (truth values keep their type, for
`--noconfig.KEY`). The texts are then read by the annotations and put into the config's JSON form, from which `schema`
builds a new config: all checks run again, on the whole.
"""

import ast
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Literal, Union, get_args, get_origin, get_type_hints

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from gauss_vit.config import schema
from gauss_vit.errors import ConfigError

PREFIX = "config"
_FLAG = re.compile(rf"--?(?P<negation>no)?{PREFIX}\.(?P<path>[^=]+)(?P<value>=.*)?", re.DOTALL)
_WORDS = {"true": True, "false": False, "True": True, "False": False, "None": None, "none": None, "null": None}


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The dotted keys of a config.

    Attributes:
      leaves: values, with their annotations.
      groups: dataclasses, also those that are None where nothing else can stand, and tuples of dataclasses, with their
        annotations; as a whole they can be set to None, to (), or to the name of a dataclass that needs no arguments.
      template: a locked ConfigDict with the same keys and empty texts; its types only tell truth values from text.
    """

    leaves: Mapping[str, object]
    groups: Mapping[str, object]
    template: ConfigDict


def keys_of(config: object) -> Keys:
    """Lists every key of a config, a dataclass, that can be overridden."""
    leaves, groups = {}, {}
    pending = [("", config, type(config))]
    while pending:
        path, value, annotation = pending.pop(0)
        children = _children(value, annotation)
        if children is None:
            leaves[path] = annotation
            continue
        groups[path] = annotation
        pending = [(schema.join(path, key), child, child_type) for key, child, child_type in children] + pending
    del groups[""]
    template = _text_template(config, type(config))
    assert isinstance(template, ConfigDict), "a dataclass has keys"
    return Keys(leaves=leaves, groups=groups, template=template)


def define(flag_values: flags.FlagValues, keys: Keys, argv: Sequence[str]) -> None:
    """Declares a flag for every key that the command line overrides.

    Args:
      flag_values: where the flags are declared; parse `argv` with it afterwards.
      keys: what can be overridden.
      argv: the program's name and the command line, without `--config=FILE`.

    Raises:
      ConfigError: a key does not exist; all such keys are named.
    """
    matches = [match for match in map(_FLAG.fullmatch, _before_terminator(argv)) if match]
    known = {**keys.leaves, **keys.groups}
    unknown = [match["path"] for match in matches if match["path"] not in known]
    if unknown:
        raise schema.config_error([_unknown_key(path, keys) for path in unknown])
    groups = {match["path"] for match in matches} & set(keys.groups)
    for path in groups:
        flags.DEFINE_string(f"{PREFIX}.{path}", None, "A group of settings.", flag_values=flag_values)
    leaf_flags = [match.string for match in matches if match["path"] not in groups]
    config_flags.DEFINE_config_dict(PREFIX, keys.template, flag_values=flag_values, sys_argv=[argv[0], *leaf_flags])


def read(flag_values: flags.FlagValues, keys: Keys) -> dict[str, schema.JsonValue]:
    """Reads the overrides back after parsing: dotted keys with values, groups before what is in them."""
    groups = {
        path: read_text(str(flag_values[f"{PREFIX}.{path}"].value), keys.groups[path])
        for path in keys.groups
        if f"{PREFIX}.{path}" in flag_values
    }
    texts = flag_values[PREFIX].override_values  # pyrefly: ignore
    leaves = {
        path: text if isinstance(text, bool) else read_text(text, keys.leaves[path]) for path, text in texts.items()
    }
    return groups | leaves


def read_text(text: str, annotation: object) -> schema.JsonValue:
    """Reads the text of a flag as the annotation suggests; whether it fits is for `schema.conform` to say.

    >>> read_text("32,64", tuple[int, int])
    [32, 64]
    >>> read_text("0032", str)
    '0032'
    """
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if str in members:
        return None if types.NoneType in members and text in ("None", "none") else text
    if any(text in get_args(member) for member in members if get_origin(member) is Literal):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text in schema.dataclass_members(annotation):
        return {"type": text}
    value = _literal(text)
    takes_tuple = any(get_origin(member) is tuple for member in members)
    return [value] if takes_tuple and not isinstance(value, list) else value


def _literal(text: str) -> schema.JsonValue:
    """A number, text in quotes, or a tuple of these, as Python writes them; any other text is itself."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if isinstance(value, tuple | list):
        return list(value)
    return value if isinstance(value, int | float | str) else text


def replace(data: schema.JsonValue, overrides: Mapping[str, schema.JsonValue]) -> schema.JsonValue:
    """Puts the overrides into a config's JSON form, in order, and gives a new one.

    A key below a part that is None makes that part, with its defaults; what it needs besides is for `schema` to say.

    Raises:
      ConfigError: a key lies below a group that an earlier override has removed.
    """
    for path, value in overrides.items():
        is_below = any(path.startswith((f"{other}.", f"{other}[")) for other in overrides)
        data = _replace_one(data, schema.split(path), value=value, path=path, makes_parts=not is_below)
    return data


def _replace_one(
    data: schema.JsonValue,
    keys: tuple[str | int, ...],
    *,
    value: schema.JsonValue,
    path: str,
    makes_parts: bool,
) -> schema.JsonValue:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if data is None and makes_parts:
        data = {}
    if isinstance(data, dict) and (key in data or makes_parts):
        below = data[str(key)] if key in data else None
        return {**data, str(key): _replace_one(below, rest, value=value, path=path, makes_parts=makes_parts)}
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        changed = _replace_one(data[key], rest, value=value, path=path, makes_parts=makes_parts)
        return [*data[:key], changed, *data[key + 1 :]]
    raise ConfigError(f"{path} is overridden, and so is the group that holds it", do="remove one of the two flags")


def _before_terminator(argv: Sequence[str]) -> Sequence[str]:
    return argv[: argv.index("--")] if "--" in argv else argv


def _unknown_key(path: str, keys: Keys) -> schema.Problem:
    """Says that a key does not exist, and why where a leaf such as None stands above it."""
    parents = [leaf for leaf in keys.leaves if path.startswith((f"{leaf}.", f"{leaf}["))]
    if parents:
        message = f"there is no {path}: {parents[0]} is a single value here"
        return schema.Problem(message=message, remedy="set it in the file")
    return schema.unknown_key(path, {**keys.leaves, **keys.groups})


def _children(value: object, annotation: object) -> list[tuple[str | int, object, object]] | None:
    """The (key, value, annotation) of everything directly below a value, or None if it is a leaf.

    Where there is none, but could be one dataclass, what is below are its defaults, and None for what it requires.
    """
    absent = _optional_dataclass(annotation) if value is None else None
    if absent is not None:
        hints = get_type_hints(absent)
        return [
            (field.name, None if field.default is MISSING else field.default, hints[field.name])
            for field in fields(absent)
            if field.init
        ]
    if is_dataclass(value):
        hints = get_type_hints(type(value))
        return [(name, vars(value)[name], hints[name]) for name in schema.field_names(type(value))]
    if isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        items = schema.items_of(value, annotation)
        return [(index, item, item_type) for index, (item, item_type) in enumerate(items)]
    return None


def _optional_dataclass(annotation: object) -> type | None:
    """The X of an annotation `X | None`, if it is a dataclass."""
    others = [member for member in get_args(annotation) if member is not types.NoneType]
    is_optional = get_origin(annotation) in (Union, types.UnionType) and len(others) == 1
    return others[0] if is_optional and is_dataclass(others[0]) else None


def _text_template(value: object, annotation: object) -> ConfigDict | list | bool | str:
    children = _children(value, annotation)
    if children is None:
        return False if annotation is bool else ""
    templates = {str(key): _text_template(child, child_type) for key, child, child_type in children}
    return list(templates.values()) if isinstance(value, tuple) else ConfigDict(templates).lock()
