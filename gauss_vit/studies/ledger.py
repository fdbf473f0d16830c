"""Rows of a ledger: a number, what it is compared with, and everything that somebody needs to make it again.

A row never holds a time, so that a study that is interrupted and repeated ends with the same rows, bit for bit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from gauss_vit.errors import ConfigError, DataError
from gauss_vit.files import read_json
from gauss_vit.inspect.result_files import write_text

Scale = Literal["full", "small", "not run"]
Value = float | int | str | None


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One number, or one claim.

    Attributes:
      item: what it belongs to, such as "Table 3" of the paper, "README" or the title of a study.
      what: what the number is.
      unit: unit of `paper`, `ours` and `interval`.
      paper: the paper's value; None where it has none.
      ours: our value; None where it was not run.
      seeds: seeds that it is a mean over; empty where nothing was drawn.
      interval: (low, high) of 95 %; None where there is none.
      config: config that made it, with its argument.
      commit: revision of the code that made it.
      machine: what it ran on.
      scale: "full" as in the paper, "small", or "not run".
      command: command that makes it again.
      quoted: texts of the README that take their numbers from this row.
      note: what else must be known to read it.

    Raises:
      ConfigError: a row that was not run has a value, or one that was run has no value or no command.
    """

    item: str
    what: str
    unit: str = ""
    paper: Value = None
    ours: Value = None
    seeds: tuple[int, ...] = ()
    interval: tuple[float, float] | None = None
    config: str | None = None
    commit: str | None = None
    machine: str | None = None
    scale: Scale
    command: str | None = None
    quoted: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self):
        where = f"ledger row {self.item!r}, {self.what!r}"
        if self.scale not in get_args(Scale):
            raise ConfigError(f"{where}: scale must be one of {', '.join(get_args(Scale))}, got {self.scale!r}")
        if (self.scale == "not run") != (self.ours is None):
            raise ConfigError(f"{where}: a row has a value of ours where, and only where, it was run")
        if self.ours is not None and not self.command:
            raise ConfigError(f"{where}: a value needs the command that makes it")

    def to_json(self) -> dict[str, object]:
        """Converts to JSON, with every key."""
        return asdict(self)


_KEYS = tuple(field.name for field in fields(LedgerRow))


def read_rows(path: Path) -> tuple[LedgerRow, ...]:
    """Reads a ledger.

    Raises:
      DataError: the file cannot be read, or a row has other keys or values.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(rows := content.get("rows"), list):
        raise DataError(f"{path} is not a ledger", do="write an object with the list `rows`")
    return tuple(_row(path, number, row) for number, row in enumerate(rows))


def _row(path: Path, number: int, row: object) -> LedgerRow:
    if not isinstance(row, Mapping) or not set(row) <= set(_KEYS):
        unknown = sorted(set(row) - set(_KEYS)) if isinstance(row, Mapping) else row
        raise DataError(f"row {number} of {path} has the unknown keys {unknown}", do=f"use {', '.join(_KEYS)}")
    given = dict(row)
    try:
        for name in ("seeds", "quoted"):
            if not isinstance(given.setdefault(name, []), list):
                raise TypeError(f"{name} must be a list, got {given[name]!r}")
            given[name] = tuple(given[name])
        if given.get("interval") is not None:
            low, high = given["interval"]
            given["interval"] = (float(low), float(high))
        return LedgerRow(**given)
    except (TypeError, ValueError) as error:
        raise DataError(f"row {number} of {path}: {error}") from error


def write_rows(path: Path, rows: Sequence[LedgerRow]) -> None:
    """Writes a ledger; equal rows have equal bytes.

    Raises:
      StorageError: the file cannot be written.
    """
    content = {"rows": [row.to_json() for row in rows]}
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
