"""The dotted keys of a config: what a command line can change, a help page lists and a misspelling is compared with."""

import types
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Union, get_args, get_origin, get_type_hints

from gauss_vit.config import schema


@dataclass(frozen=True, kw_only=True)
class Key:
    """A place in a config.

    Attributes:
      path: Dotted key, such as `model.depth` or `data.train_transforms[0].scale`.
      annotation: Type of what may stand there.
      value: What stands there; below a part that is None, the default of its dataclass.
      owner: Dataclass that has the field; None for an item of a tuple.
      is_group: Whether there are keys below.
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
    """Lists every key of a config, a dataclass, each group before what is in it."""
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
    """Lists (name, value, annotation) of what lies directly below a value; None for a leaf.

    Below a part that is None and could only be one dataclass lie the defaults of that dataclass.
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
    """Returns the X of an annotation `X | None`, if it is a dataclass."""
    others = [member for member in get_args(annotation) if member is not types.NoneType]
    is_optional = get_origin(annotation) in (Union, types.UnionType) and len(others) == 1
    return others[0] if is_optional and is_dataclass(others[0]) else None
