"""Dotted keys of a config, for overrides, help pages and the suggestions for misspelled keys."""

import types
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Union, get_args, get_origin, get_type_hints

from gauss_vit.config import schema


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of a config with its value.

    Attributes:
      path: Dotted key, such as `model.depth` or `data.train_transforms[0].scale`.
      annotation: Type of the value.
      value: Present value; below a part that is None, the default of its dataclass.
      owner: Dataclass that has the field; None for an item of a tuple.
      is_group: Whether there are keys below this one.
    """

    path: str
    annotation: object
    value: object
    owner: type | None
    is_group: bool

    @property
    def name(self) -> str:
        """Name of the field, or the index in its tuple."""
        return str(schema.split(self.path)[-1])


def keys_of(config: object) -> tuple[Key, ...]:
    """Lists every key of a config, a dataclass; each group comes before its keys."""
    return tuple(_below("", config, type(config)))


def _below(path: str, value: object, annotation: object) -> Iterator[Key]:
    for name, child, child_annotation in _children(value, annotation) or ():
        child_path = schema.join(path, name)
        yield Key(
            path=child_path,
            annotation=child_annotation,
            value=child,
            owner=None if isinstance(name, int) else optional_dataclass(annotation) or type(value),
            is_group=_children(child, child_annotation) is not None,
        )
        yield from _below(child_path, child, child_annotation)


def _children(value: object, annotation: object) -> list[tuple[str | int, object, object]] | None:
    """Lists (name, value, annotation) of the keys directly below a value; None for a leaf.

    For a part that is None and could only be one dataclass, they are the fields of that dataclass with their defaults.
    """
    absent = optional_dataclass(annotation) if value is None else None
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


def optional_dataclass(annotation: object) -> type | None:
    """Returns the X of an annotation `X | None` if it is a dataclass, else None."""
    others = [member for member in get_args(annotation) if member is not types.NoneType]
    is_optional = get_origin(annotation) in (Union, types.UnionType) and len(others) == 1
    return others[0] if is_optional and is_dataclass(others[0]) else None
