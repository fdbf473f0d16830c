"""Config values as data: checked against their annotations, written as JSON, and built again.

A config is a tree of frozen dataclasses whose fields are numbers, text, None, tuples, literals and further dataclasses.
The annotations are the whole schema: they form a closed set of types, so data from a file can never name code.
A dataclass that is one of several in a union carries its class name as "type" in JSON; without it, it is the first.

A union may have an abstract class or a protocol as a member: dataclasses that derive from it, or have its members, are
accepted, too. JSON may name such a dataclass only if the caller passes its class, which comes from a config file that a
user ran.
"""

import inspect
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol, Union, cast, get_args, get_origin, get_type_hints

from gauss_vit.errors import ConfigError, UserError

# Not recursive: run-time type checkers would look up a quoted name in the module that uses the alias, and not find it.
JsonValue = bool | int | float | str | None | list[Any] | dict[str, Any]
JsonObject = dict[str, JsonValue]

_NOUNS = {int: "an integer", float: "a number", bool: "True or False", str: "text", types.NoneType: "None"}
_PLURALS = {int: "integers", float: "numbers", bool: "booleans", str: "texts"}
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a config.

    Attributes:
      message: Expected and actual value, beginning with the dotted key.
      remedy: Remedy; empty if the message says it.
    """

    message: str
    remedy: str = ""


class MismatchError(Exception):
    """A value does not fit its annotation; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]):
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = tuple(problems)


def join(path: str, key: str | int) -> str:
    """Appends a field or an index to a dotted path.

    >>> join(join("", "model"), "depth")
    'model.depth'
    >>> join("bias", 0)
    'bias[0]'
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def split(path: str) -> tuple[str | int, ...]:
    """Splits a dotted path; the inverse of `join`.

    >>> split("bias[0].sigma")
    ('bias', 0, 'sigma')
    """
    parts = re.findall(r"[^.\[\]]+", path)
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known dotted name that `name` most likely means, or None.

    The last part counts most, because a missing or wrong prefix is as common as a misspelling.

    >>> nearest("bset", ["subset", "best"])
    'best'
    >>> nearest("model.dpeth", ["model.depth", "model.width"])
    'model.depth'
    """
    last = name.rpartition(".")[2]
    scored = {
        candidate: (_similarity(last, candidate.rpartition(".")[2]), _similarity(name, candidate))
        for candidate in known
    }
    best = max(scored, key=lambda candidate: scored[candidate], default=None)
    return best if best is not None and scored[best][0] >= 0.6 else None


def _similarity(first: str, second: str) -> float:
    """Computes the similarity of two texts, from 0 to 1, from the letters to insert, delete, replace or swap.

    Source: Damerau (1964), the restricted edit distance, which changes no letter twice.
    """
    before, row = [], list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(second, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == second[j - 2] and other == first[i - 2]:
                row[j] = min(row[j], older[j - 2] + 1)
    return 1 - row[-1] / max(len(first), len(second), 1)


def unknown_key(path: str, known: Iterable[str]) -> Problem:
    """Describes a key that does not exist, with the one that was probably meant."""
    suggestion = nearest(path, known)
    hint = f"; did you mean {suggestion}?" if suggestion else ""
    return Problem(message=f"unknown key {path}{hint}")


def config_error(problems: Sequence[Problem], *, where: str = "") -> ConfigError:
    """Joins problems into one error, on one line.

    Args:
      problems: Problems, at least one.
      where: File that holds the values, put before the message.
    """
    prefix = f"{where}: " if where else ""
    if len(problems) == 1:
        return ConfigError(prefix + problems[0].message, do=problems[0].remedy)
    texts = [f"({number}) {problem.message}" for number, problem in enumerate(problems, 1)]
    return ConfigError(f"{prefix}{len(problems)} problems: {'; '.join(texts)}")


def conform(value: object, annotation: object, path: str = "", *, known: Sequence[type] = ()) -> object:
    """Checks a value against an annotation and returns it in its final form.

    Dataclasses may be given as instances or as JSON objects, tuples also as lists, floats also as integers; the result
    has tuples, floats and newly constructed dataclasses, whose own checks have run.

    Args:
      value: An instance or decoded JSON.
      annotation: A dataclass, a scalar type, `tuple[...]`, `Literal[...]` or a union of these.
      path: Dotted key of the value, for messages.
      known: Dataclasses that JSON may name besides those of the annotations, where it may name one of their bases.

    Raises:
      MismatchError: the value does not fit; the error holds every problem in the tree, not only the first.
    """
    origin = get_origin(annotation)
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _conform_fields(value, annotation, path, known=known)
    if origin in (Union, types.UnionType):
        return _conform_member(value, annotation, path, known=known)
    if origin is tuple:
        return _conform_items(value, annotation, path, known=known)
    if origin is Literal:
        return _conform_literal(value, annotation, path)
    return _conform_scalar(value, annotation, path)


def encode(value: object, annotation: object) -> JsonValue:
    """Converts a checked value to JSON: dataclasses become objects, tuples become arrays.

    Args:
      value: Result of `conform` for this annotation.
      annotation: Annotation, as in `conform`.
    """
    if is_dataclass(value):
        is_alone = tuple(dataclass_members(annotation).values()) == (type(value),)
        tag: JsonObject = {} if is_alone else {"type": type(value).__name__}
        return tag | encode_fields(value)
    if isinstance(value, tuple):
        return [encode(item, item_annotation) for item, item_annotation in items_of(value, annotation)]
    return cast(JsonValue, value)


def encode_fields(value: object) -> JsonObject:
    """Converts a checked dataclass to a JSON object of its fields."""
    hints = get_type_hints(type(value))
    return {name: encode(vars(value)[name], hints[name]) for name in field_names(type(value))}


def field_names(cls: type) -> tuple[str, ...]:
    """Returns the names of the fields that the constructor of a dataclass takes."""
    return tuple(field.name for field in fields(cls) if field.init)


def items_of(value: Sequence[object], annotation: object) -> list[tuple[object, object]]:
    """Pairs every item of a tuple with its annotation; the annotation may be a union with a tuple in it."""
    members = [annotation, *get_args(annotation)]
    tuple_type = next(member for member in members if get_origin(member) is tuple)
    arguments = get_args(tuple_type)
    if arguments[-1] is Ellipsis:
        return [(item, arguments[0]) for item in value]
    return list(zip(value, arguments, strict=True))


def config_types(annotation: object) -> tuple[type, ...]:
    """Lists every dataclass that can occur under an annotation, each once."""
    found: dict[type, None] = {}
    pending = [annotation]
    while pending:
        current = pending.pop()
        pending.extend(get_args(current))
        if isinstance(current, type) and is_dataclass(current) and current not in found:
            found[current] = None
            pending.extend(get_type_hints(current).values())
    return tuple(found)


def classes_in(value: object) -> tuple[type, ...]:
    """Lists the dataclasses of a config value and of all values in it, each once."""
    items = vars(value).values() if is_dataclass(value) else value if isinstance(value, tuple) else ()
    own = (type(value),) if is_dataclass(value) else ()
    return tuple(dict.fromkeys((*own, *(cls for item in items for cls in classes_in(item)))))


def dataclass_members(annotation: object) -> dict[str, type]:
    """Returns the dataclasses of a union, or the annotation itself if it is one, by name."""
    members = [annotation, *get_args(annotation)]
    return {member.__name__: member for member in members if isinstance(member, type) and is_dataclass(member)}


def describe(annotation: object) -> str:
    """Describes the values that an annotation accepts.

    >>> describe(tuple[int, int] | None)
    'a tuple of 2 integers or None'
    """
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(describe(member) for member in arguments)
    if get_origin(annotation) is Literal:
        return " or ".join(repr(choice) for choice in arguments)
    if get_origin(annotation) is tuple:
        count = "" if Ellipsis in arguments else f"{len(arguments)} "
        kinds = {_PLURALS.get(argument, "values") for argument in arguments if argument is not Ellipsis}
        return f"a tuple of {count}{kinds.pop() if len(kinds) == 1 else 'values'}"
    if annotation in _NOUNS:
        return _NOUNS[annotation]
    return f"{annotation.__name__ if isinstance(annotation, type) else annotation}(...)"


def _wrong(value: object, annotation: object, path: str) -> MismatchError:
    return MismatchError(
        [Problem(message=f"{path or 'the value'} must be {describe(annotation)}, got {_shown(value)}")]
    )


def _shown(value: object) -> str:
    """Formats a value in Python's notation, shortened; Python refuses to format integers of thousands of digits."""
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _conform_fields(value: object, cls: type, path: str, *, known: Sequence[type]) -> object:
    """Checks the fields of a dataclass one by one, then constructs it."""
    hints = get_type_hints(cls)
    given = _given_fields(value, cls, path)
    problems = _key_problems(given, cls, path)
    arguments = {}
    for name in (name for name in field_names(cls) if name in given):
        try:
            arguments[name] = conform(given[name], hints[name], join(path, name), known=known)
        except MismatchError as mismatch:
            problems += mismatch.problems
    if problems:
        raise MismatchError(problems)
    return _construct(cls, arguments, path)


def _given_fields(value: object, cls: type, path: str) -> Mapping[str, object]:
    """Returns the fields of an instance or a JSON object, without attributes that the class computes itself."""
    if type(value) is cls:
        computed = set(dir(cls)) - set(field_names(cls))
        return {name: item for name, item in vars(value).items() if name not in computed}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items() if key != "type" or item != cls.__name__}
    raise _wrong(value, cls, path)


def _key_problems(given: Mapping[str, object], cls: type, path: str) -> list[Problem]:
    """Lists unknown keys, and missing keys unless an unknown key is probably a misspelling of them."""
    names = field_names(cls)
    unknown = [key for key in given if key not in names]
    meant = {nearest(key, names) for key in unknown}
    missing = [field.name for field in fields(cls) if field.init and field.name not in given and _is_required(field)]
    known = [join(path, name) for name in (*names, "type")]
    return [unknown_key(join(path, key), known) for key in unknown] + [
        Problem(message=f"{join(path, name)} is missing") for name in missing if name not in meant
    ]


def _is_required(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _construct(cls: type, arguments: Mapping[str, object], path: str) -> object:
    """Builds the dataclass; an error of its own checks is reported with the dotted key."""
    try:
        return cls(**arguments)
    except UserError as error:
        raise MismatchError(_located(error.message, cls, path, remedy=error.do)) from error
    except (ValueError, TypeError, ArithmeticError) as error:
        raise MismatchError(_located(str(error), cls, path, remedy="")) from error


def _located(message: str, cls: type, path: str, *, remedy: str) -> list[Problem]:
    """Puts the dotted key before the message of a constructor, which contains bare field names.

    Constructors join several complaints with semicolons; if each begins with a field, they are split.
    """
    names = field_names(cls)
    complaints = message.split("; ")
    if path and all(complaint.split(" ", 1)[0] in names for complaint in complaints):
        return [Problem(message=f"{path}.{complaint}", remedy=remedy) for complaint in complaints]
    if not path or message.startswith((f"{path}.", f"{path} ")):
        return [Problem(message=message, remedy=remedy)]
    return [Problem(message=f"{path}: {message}", remedy=remedy)]


def _conform_member(value: object, annotation: object, path: str, *, known: Sequence[type]) -> object:
    """Checks a value against the member of a union that its class or "type" tag selects, else the first that fits."""
    bases = tuple(member for member in get_args(annotation) if _is_open(member))
    dataclasses = dataclass_members(annotation)
    if type(value) in dataclasses.values() or (is_dataclass(value) and isinstance(value, bases)):
        return conform(value, type(value), path, known=known)
    if isinstance(value, Mapping) and dataclasses:
        users = {cls.__name__: cls for cls in known if any(_fits(cls, base) for base in bases)}
        chosen = _tagged_type(value, dataclasses | users | dataclasses, path, bases=bases)
        return conform(value, chosen, path, known=known)
    structured = [member for member in get_args(annotation) if get_origin(member) is tuple]
    if isinstance(value, tuple | list) and len(structured) == 1:
        return conform(value, structured[0], path, known=known)
    scalars = [member for member in get_args(annotation) if member not in dataclasses.values()]
    for member in sorted(scalars, key=lambda member: type(value) is not member):
        try:
            return conform(value, member, path, known=known)
        except MismatchError:
            continue
    raise _wrong(value, annotation, path)


def _is_open(member: object) -> bool:
    """Returns whether a member of a union admits classes that users define: an abstract class or a protocol."""
    return inspect.isabstract(member) or (isinstance(member, type) and Protocol in member.__bases__)


def _fits(cls: type, base: type) -> bool:
    """Returns whether a dataclass derives from an abstract class, or has all members of a protocol."""
    if Protocol not in base.__bases__:
        return issubclass(cls, base)
    asked = {name for name in vars(base) if not name.startswith("_")}
    return is_dataclass(cls) and asked <= {*field_names(cls), *dir(cls)}


def _tagged_type(
    value: Mapping[str, object], dataclasses: Mapping[str, type], path: str, *, bases: Sequence[type]
) -> type:
    # The first of a union was the only one when a value without a tag was stored.
    tag = value.get("type", next(iter(dataclasses)))
    if bases and isinstance(tag, str) and tag not in dataclasses:
        message = f"{path}.type is {tag[:80]!r}, not one of {', '.join(dataclasses)}: a config file defined that class"
        raise MismatchError([Problem(message=message, remedy="name that file with --config=FILE")])
    if not isinstance(tag, str) or tag not in dataclasses:
        message = f"{join(path, 'type')} must be one of {', '.join(dataclasses)}, got {str(tag)[:80]!r}"
        raise MismatchError([Problem(message=message)])
    return dataclasses[tag]


def _conform_items(value: object, annotation: object, path: str, *, known: Sequence[type]) -> tuple[object, ...]:
    arguments = get_args(annotation)
    if not isinstance(value, tuple | list) or (Ellipsis not in arguments and len(value) != len(arguments)):
        raise _wrong(value, annotation, path)
    items, problems = [], []
    for index, (item, item_annotation) in enumerate(items_of(value, annotation)):
        try:
            items.append(conform(item, item_annotation, join(path, index), known=known))
        except MismatchError as mismatch:
            problems += mismatch.problems
    if problems:
        raise MismatchError(problems)
    return tuple(items)


def _conform_literal(value: object, annotation: object, path: str) -> object:
    if not any(type(value) is type(choice) and value == choice for choice in get_args(annotation)):
        raise _wrong(value, annotation, path)
    return value


def _conform_scalar(value: object, annotation: object, path: str) -> object:
    """Checks a number, text, boolean or None; a boolean is not a number, and numbers must be finite."""
    if annotation is float and type(value) is int and abs(value) <= _LARGEST_INTEGER:
        return float(value)
    if type(value) is not annotation:
        raise _wrong(value, annotation, path)
    if isinstance(value, float) and not math.isfinite(value):
        raise MismatchError([Problem(message=f"{path} must be a finite number, got {value}")])
    if type(value) is int and abs(value) > _LARGEST_INTEGER:
        raise MismatchError([Problem(message=f"{path} must fit in 64 bits, got {_shown(value)}")])
    return value
