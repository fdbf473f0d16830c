"""Help texts of a config's keys, from the docstrings of its dataclasses."""

import inspect
import re

_ENTRY = re.compile(r"  (?P<names>\w+(, \w+)*): (?P<text>.*)")


def attribute_docs(cls: type) -> dict[str, str]:
    """Returns the text about every attribute, from the section "Attributes:" of a class's docstring.

    >>> class Part:
    ...     '''A part.
    ...
    ...     Attributes:
    ...       size: Length in pixels,
    ...         of the longer side.
    ...       red, blue: Colours.
    ...     '''
    >>> attribute_docs(Part)
    {'size': 'Length in pixels, of the longer side.', 'red': 'Colours.', 'blue': 'Colours.'}
    """
    _, _, section = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    entries: list[tuple[list[str], list[str]]] = []
    for line in section.splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry is not None:
            entries.append((entry["names"].split(", "), [entry["text"]]))
        elif line.startswith("    ") and entries:
            entries[-1][1].append(line.strip())
        elif line.strip():
            break
    return {name: " ".join(lines) for names, lines in entries for name in names}


def summary(cls: type) -> str:
    """Returns the first paragraph of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
