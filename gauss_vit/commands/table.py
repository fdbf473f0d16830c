"""`table`: a table of the paper, computed for the models, weights and runs at hand."""

import shutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from gauss_vit.analysis.protocol import protocol_named
from gauss_vit.assembly import cpu_devices
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.command_line.verb import OptionValue
from gauss_vit.data.images.image import open_images
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.result_files import suffixed, write_record, write_text
from gauss_vit.inspect.tables.model_tables import (
    Images,
    Variant,
    field_table,
    learned_table,
    position_table,
    size_table,
)
from gauss_vit.inspect.tables.run_tables import accuracy_table, dense_table, head_table
from gauss_vit.inspect.tables.sources import sources
from gauss_vit.inspect.tables.table import Table, as_csv, as_json, as_markdown, terminal_lines

TABLES = ("1", "2", "3", "4", "s1", "s2", "s3", "s4")
_WITH_VARIANTS = ("1", "s3")
_MEASURED = "s1"
_OF_MEASURING: Mapping[str, OptionValue] = MappingProxyType(
    {"images": None, "max_images": None, "protocol": "bmvc2023", "skip_bad": False}
)
"""Flags of the table that is measured on images, with their defaults."""


def run(invocation: Invocation) -> None:
    """Prints a table, and with `--out` writes it as CSV, JSON and Markdown as well.

    The first argument is the table's number in the paper, with an `s` for the supplement; the others are workdirs of
    runs, and models, `MODEL` or `MODEL=FILE`.

    Raises:
      ConfigError: there is no such table, a source or a flag is wrong, or nothing is named.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies, or weights are refused.
      StorageError: the results cannot be written.
    """
    name = _name(invocation)
    variant = _variant(invocation.text("variant"), name)
    _check_measuring(invocation, name)
    out = invocation.path("out") if invocation.is_given("out") else None
    made = _table(invocation, name, variant)
    try:
        for line in terminal_lines(made, columns=shutil.get_terminal_size((120, 24)).columns):
            say(line)
    finally:
        if out is not None:
            write_text(suffixed(out, "csv"), as_csv(made))
            write_text(suffixed(out, "md"), as_markdown(made))
            write_record(suffixed(out, "json"), as_json(made) | {"variant": variant})
    if out is not None:
        say(f"{out}.csv .json .md")


def _name(invocation: Invocation) -> str:
    name = invocation.arguments[0].lower() if invocation.arguments else ""
    if name not in TABLES:
        raise ConfigError(
            f"there is no table {name!r}" if name else "table needs the number of a table",
            do=f"choose one of {', '.join(TABLES)}: gauss-vit table 1 WORKDIR MODEL=FILE ...",
        )
    return name


def _variant(text: str, name: str) -> Variant:
    """Reads `--variant`, which the paper's code differs in for two tables.

    Raises:
      ConfigError: the text and the code compute this table alike.
    """
    if text == "code" and name not in _WITH_VARIANTS:
        raise ConfigError(
            f"--variant=code changes tables {' and '.join(_WITH_VARIANTS)}, not {name}", do="leave --variant out"
        )
    known = {each: each for each in get_args(Variant)}
    return known[text]


def _check_measuring(invocation: Invocation, name: str) -> None:
    """Makes sure that only the table that is measured on images is given some.

    Raises:
      ConfigError: another one is.
    """
    given = [flag for flag, default in _OF_MEASURING.items() if invocation.options[flag] != default]
    if given and name != _MEASURED:
        raise ConfigError(f"--{given[0]} changes table {_MEASURED}, not {name}", do=f"leave --{given[0]} out")


def _table(invocation: Invocation, name: str, variant: Variant) -> Table:
    named = sources(invocation)
    if name == "1":
        return position_table(named, variant=variant, seed=invocation.integer("seed") or 0)
    if name == _MEASURED:
        return field_table(named, _images(invocation))
    if name == "s2":
        return size_table(named)
    if name == "s3":
        return learned_table(named, variant=variant)
    if name == "s4":
        return head_table(named)
    return dense_table(named) if name == "4" else accuracy_table(named, name="3" if name == "3" else "2")


def _images(invocation: Invocation) -> Images | None:
    """Reads the images to measure on; None if none are given."""
    if not invocation.is_given("images"):
        return None
    paths = tuple(open_images(invocation.path("images"))[: invocation.integer("max_images")])
    batch_size = invocation.integer("batch_size") or 1
    cpu_devices.as_devices(batch_size=min(batch_size, len(paths)))
    return Images(
        paths=paths,
        protocol=protocol_named(invocation.text("protocol")),
        batch_size=batch_size,
        skips_bad=invocation.switch("skip_bad"),
    )
