"""Command-line overrides, `--config.KEY=VALUE`, of a config that is a tree of frozen dataclasses.

The values of the config are copied to an ml_collections `ConfigDict`, changed there, and built into a new config by
`schema`, so that all checks run again on the whole. Texts are read by the annotation of their key: the type of the
present value, which ml_collections' `config_flags` uses, is not enough if that value is None or if several types are
allowed.
"""

import ast
import types
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import is_dataclass
from typing import Literal, Union, cast, get_args, get_origin, get_type_hints

from ml_collections import ConfigDict

from gauss_vit.config import schema
from gauss_vit.config.keys import Key, keys_of, optional_dataclass
from gauss_vit.errors import ConfigError

_Node = MutableMapping[str | int, object]
_WORDS = {"true": True, "false": False, "True": True, "False": False, "None": None, "none": None, "null": None}


def override(config: object, changes: Mapping[str, schema.JsonValue]) -> schema.JsonObject:
    """Changes values of a config and returns the whole as JSON, for `schema.conform` to check and build.

    A group is changed before the keys in it. A key below a part that is None creates that part, with its defaults.

    Args:
      config: A dataclass.
      changes: Values by dotted key; texts are read by `read_text`. The value of a group can be None, the name of a
        dataclass that needs no arguments, or, for a tuple, () or such names separated by commas.

    Raises:
      ConfigError: keys do not exist (the message names all of them), or a key is in a group that is set to None.
    """
    keys = keys_of(config)
    draft = _Draft(config, keys)
    problems = []
    for path in sorted(changes, key=lambda path: len(schema.split(path))):
        try:
            draft.change(path, changes[path], others=changes)
        except _NoKeyError as error:
            problems.append(_unknown_key(path, error.leaf, keys))
    if problems:
        raise schema.config_error(problems)
    return draft.values.to_dict()


def read_text(text: str, annotation: object) -> schema.JsonValue:
    """Reads the text of a flag as the annotation suggests; `schema.conform` decides whether it fits.

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
    items = {name for member in members if get_origin(member) is tuple for name in _item_classes(member)}
    if items.issuperset(text.split(",")):
        return [{"type": name} for name in text.split(",")]
    if text in schema.dataclass_members(annotation):
        return {"type": text}
    value = _literal(text)
    takes_tuple = any(get_origin(member) is tuple for member in members)
    return [value] if takes_tuple and not isinstance(value, list) else value


def _item_classes(annotation: object) -> set[str]:
    """Returns the names of the dataclasses that items of a tuple can be."""
    return {name for item in get_args(annotation) for name in schema.dataclass_members(item)}


class _NoKeyError(Exception):
    """A key does not exist; `leaf` is the path of a value without keys above it, if there is one."""

    def __init__(self, leaf: str | None = None):
        super().__init__()
        self.leaf = leaf


class _Draft:
    """The values of a config, open to changes of any type."""

    def __init__(self, config: object, keys: Sequence[Key]):
        self.values = ConfigDict(schema.encode_fields(config), type_safe=False)
        self._root = type(config)
        self._classes = {type(key.value).__name__: type(key.value) for key in keys if is_dataclass(key.value)}

    def change(self, path: str, value: schema.JsonValue, *, others: Collection[str]) -> None:
        """Sets the value of a key; `others` are all keys that the command line changes."""
        *above, last = schema.split(path) or ("",)
        node, annotation, place = cast(_Node, self.values), cast(object, self._root), ""
        for name in above:
            annotation = self._annotation(node, annotation, place, name)
            place = schema.join(place, name)
            if _child(node, name) is None and place in others:
                message = f"{path} is overridden, and so is the group that holds it"
                raise ConfigError(message, do="remove one of the two flags")
            if _child(node, name) is None and optional_dataclass(annotation) is not None:
                node[name] = {}
            node = cast(_Node, _child(node, name))
        annotation = self._annotation(node, annotation, place, last)
        node[last] = read_text(value, annotation) if isinstance(value, str) else value

    def _annotation(self, node: object, annotation: object, place: str, name: str | int) -> object:
        """Returns the annotation of a key directly below `place`."""
        if isinstance(node, list):
            annotations: dict[str | int, object] = dict(enumerate(_item_annotations(annotation, len(node))))
        elif isinstance(node, ConfigDict | dict):
            members = schema.dataclass_members(annotation)
            tag = str(node["type"]) if "type" in node else next(iter(members))
            cls = {**self._classes, **members}.get(tag)
            annotations = (
                {} if cls is None else {field: get_type_hints(cls)[field] for field in schema.field_names(cls)}
            )
        else:
            raise _NoKeyError(place)
        if name not in annotations:
            raise _NoKeyError
        return annotations[name]


def _item_annotations(annotation: object, length: int) -> Sequence[object]:
    """Returns the annotations of the items of a tuple whose length may be wrong."""
    members = [annotation, *get_args(annotation)]
    arguments = next((get_args(member) for member in members if get_origin(member) is tuple), ())
    return arguments[:1] * length if Ellipsis in arguments else arguments[:length]


def _child(node: object, name: str | int) -> object:
    # A ConfigDict behaves as a mapping but is not registered as one, so run-time type checks would refuse it.
    values = cast(_Node, node)
    return values[name] if isinstance(node, list) or name in values else None


def _unknown_key(path: str, leaf: str | None, keys: Sequence[Key]) -> schema.Problem:
    """Describes a key that does not exist, with the reason if there is a value without keys above it."""
    if leaf is not None:
        message = f"there is no {path}: {leaf} is a single value here"
        return schema.Problem(message=message, remedy="set it in the file")
    return schema.unknown_key(path, [key.path for key in keys])


def _literal(text: str) -> schema.JsonValue:
    """Reads a number, a quoted text, or a tuple of these, in Python's notation; returns any other text unchanged."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if isinstance(value, tuple | list):
        return list(value)
    return value if isinstance(value, int | float | str) else text
