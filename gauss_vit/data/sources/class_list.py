"""Reads `classes.txt` or `classes.json` in a folder of masks: which value, or colour, stands for which class.

The text file names one class a line, that of value 0 first. The JSON file is an array of names, or of objects with a
"name" and, where they differ from the place in the array, a "value" and a "color":

    [{"name": "road", "value": 7, "color": [128, 64, 128]}, {"name": "car", "value": 26, "color": [0, 0, 142]}]

or an object with that array as "classes", and with "ignored_values" and "ignored_colors" for pixels that count for
nothing; 255 does unless a class has it or other values are given.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gauss_vit.batches import IGNORED
from gauss_vit.data.file_reading import retry
from gauss_vit.data.images.mask import packed
from gauss_vit.data.sources.mask_classes import MAX_CLASSES, MaskClasses
from gauss_vit.errors import DataError
from gauss_vit.files import LARGEST_JSON, read_bytes, read_json
from gauss_vit.palette import Color, generated_palette

TEXT_FILE, JSON_FILE = "classes.txt", "classes.json"
LARGEST_VALUE = 2**16 - 1

_KEYS = ("classes", "ignored_values", "ignored_colors")
_CLASS_KEYS = ("name", "value", "color")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One class of the list; `color` is None where the list gives it none."""

    name: str
    value: int
    color: Color | None


def read_classes(root: Path) -> MaskClasses:
    """Reads the classes of a folder of masks.

    Raises:
      DataError: DATA-LABEL, there is not exactly one of the two files, or it is not of the form above.
    """
    found = [root / name for name in (TEXT_FILE, JSON_FILE) if (root / name).exists()]
    if len(found) == 1:
        (path,) = found
        try:
            return _from_json(path) if path.name == JSON_FILE else _from_text(path)
        except ValueError as error:
            raise DataError(f"{path}: {error}", do="correct it", code="DATA-LABEL") from error
    if found:
        message = f"{root} has both {TEXT_FILE} and {JSON_FILE}"
        raise DataError(message, do="remove one of the two", code="DATA-LABEL")
    do = f"write {root / TEXT_FILE} with one class a line, that of value 0 first"
    raise DataError(f"{root} has no {TEXT_FILE} that names the classes of its masks", do=do, code="DATA-LABEL")


def _from_text(path: Path) -> MaskClasses:
    """Reads one name a line.

    Raises:
      ValueError: it is not UTF-8, or its names do not serve.
    """
    text = _read(path, lambda: read_bytes(path, limit=LARGEST_JSON)).decode("utf-8-sig")
    return _classes(_entries(text.rstrip().splitlines()), ignored_values=None, ignored_colors=())


def _from_json(path: Path) -> MaskClasses:
    """Reads an array, or an object around one.

    Raises:
      ValueError: it is of another form.
    """
    content = _read(path, lambda: read_json(path))
    if isinstance(content, list):
        return _classes(_entries(content), ignored_values=None, ignored_colors=())
    given = _object(content, _KEYS, required="classes")
    values, colors = given.get("ignored_values"), given.get("ignored_colors", [])
    return _classes(
        _entries(_array(given["classes"], "classes")),
        ignored_values=None if values is None else [_value(value) for value in _array(values, "ignored_values")],
        ignored_colors=[_color(color) for color in _array(colors, "ignored_colors")],
    )


def _read(path: Path, call: Callable[[], Result]) -> Result:
    try:
        return retry(call)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(message, do="make it readable", code="DATA-LABEL") from error


def _entries(content: Sequence[object]) -> list[_Entry]:
    """Checks classes one by one.

    Raises:
      ValueError: one is neither a name nor an object of the form above.
    """
    return [_entry(given, place) for place, given in enumerate(content)]


def _entry(given: object, place: int) -> _Entry:
    fields = {"name": given} if isinstance(given, str) else _object(given, _CLASS_KEYS, required="name")
    name = fields["name"]
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"class {place} has no name")
    color = fields.get("color")
    return _Entry(
        name=name.strip(), value=_value(fields.get("value", place)), color=None if color is None else _color(color)
    )


def _classes(
    entries: Sequence[_Entry], *, ignored_values: Sequence[int] | None, ignored_colors: Sequence[Color]
) -> MaskClasses:
    """Checks the classes beside one another.

    Raises:
      ValueError: there are none or too many, two share a name, value or colour, or some lack a colour that others have.
    """
    if not 0 < len(entries) <= MAX_CLASSES:
        raise ValueError(f"a mask has 1 to {MAX_CLASSES} classes, these are {len(entries)}")
    values, colors = [entry.value for entry in entries], [entry.color for entry in entries if entry.color is not None]
    if colors and len(colors) < len(entries):
        raise ValueError(f"{len(colors)} of {len(entries)} classes have a color: give one to all, or to none")
    if ignored_colors and not colors:
        raise ValueError("ignored_colors is given, and no class has a color")
    if ignored_values is None:
        ignored_values = () if IGNORED in values else (IGNORED,)
    _require_different("name", [entry.name for entry in entries])
    _require_different("value", [*values, *ignored_values])
    _require_different("color", [*colors, *ignored_colors])
    return MaskClasses(
        names=tuple(entry.name for entry in entries),
        palette=tuple(colors) or generated_palette(len(entries)),
        class_of_value=_indices(values, ignored_values),
        class_of_color=_indices(map(packed, colors), map(packed, ignored_colors)) if colors else {},
        hint=f"give every class a color in {JSON_FILE}, or write masks of class indices",
    )


def _indices(keys: Iterable[int], ignored: Iterable[int]) -> Mapping[int, int]:
    return {key: index for index, key in enumerate(keys)} | dict.fromkeys(ignored, IGNORED)


def _require_different(what: str, given: Sequence[object]) -> None:
    repeated = [str(each) for each, count in Counter(given).items() if count > 1]
    if repeated:
        raise ValueError(f"the {what} {repeated[0]} is given twice")


def _object(given: object, keys: Sequence[str], *, required: str) -> Mapping[str, object]:
    if not isinstance(given, dict) or required not in given or not given.keys() <= set(keys):
        raise ValueError(f"expected an object with the keys {', '.join(keys)} and got {given!r:.80}")
    return given


def _array(given: object, what: str) -> list[object]:
    if not isinstance(given, list):
        raise ValueError(f"{what} is not an array")
    return given


def _value(given: object) -> int:
    if type(given) is not int or not 0 <= given <= LARGEST_VALUE:
        raise ValueError(f"a value is an integer in 0..{LARGEST_VALUE}, not {given!r:.80}")
    return given


def _color(given: object) -> Color:
    if not isinstance(given, list) or len(given) != 3 or any(type(part) is not int for part in given):
        raise ValueError(f"a color is [red, green, blue], not {given!r:.80}")
    if not all(0 <= part <= 255 for part in given):
        raise ValueError(f"red, green and blue are in 0..255, not {given}")
    red, green, blue = given
    return red, green, blue
