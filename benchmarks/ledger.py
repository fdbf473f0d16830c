"""Writes the page of the ledger from its rows.

python -m benchmarks.ledger docs/ledger.json > docs/ledger.md

To add what a study has found, put the rows of its `ledger.json` into docs/ledger.json, with the item of the paper that
they belong to.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from gauss_vit.studies.ledger import LedgerRow, Value, read_rows

HEAD = """# Ledger

Every figure and table of the paper that is measured, but for figure 3, which could not be checked here, and every
number of README: the paper's value, ours, and what makes ours again. `python -m benchmarks.ledger docs/ledger.json >
docs/ledger.md` writes this page from [ledger.json](ledger.json), whose keys are those of a row.

- **Scale** is "full" where the claim is about the thing itself, "small" where a question of the paper was asked with
  small images, models and runs, and "not run" otherwise; a small answer says nothing about the full question.
- **Intervals** are of 95 %: a difference whose interval contains 0 cannot be claimed.
- In commands, `W` and `P` are folders of runs, `S` is a seed, `B` an arm, `D` a data set; `TFDS`, `DIR`, `FILE` and
  `IMAGES` stand for places. Where a command trains an arm or a seed, it is repeated for the others.

{counts}
"""
_HEADING = "| what | paper | ours | interval | seeds | scale | made by |"
_RULE = "|---|---|---|---|---|---|---|"


def page(rows: Sequence[LedgerRow]) -> str:
    """Writes the page, with a section for each item."""
    scales = [row.scale for row in rows]
    counts = ", ".join(f"{scales.count(scale)} {scale}" for scale in ("full", "small", "not run"))
    lines = [HEAD.format(counts=f"{len(rows)} rows: {counts}.")]
    for item, members in groupby(rows, key=lambda row: row.item):
        lines += [f"## {item}", "", _HEADING, _RULE, *map(_line, members), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(row: LedgerRow) -> str:
    interval = "" if row.interval is None else f"{_number(row.interval[0])} to {_number(row.interval[1])}"
    what = f"{row.what}; {row.note}" if row.note else row.what
    cells = (
        _cell(what),
        _cell(_value(row.paper, row.unit)),
        _cell(_value(row.ours, row.unit)),
        interval,
        ", ".join(map(str, row.seeds)),
        row.scale,
        _made_by(row),
    )
    return f"| {' | '.join(cells)} |"


def _made_by(row: LedgerRow) -> str:
    parts = [f"`{row.command}`"] if row.command else []
    if row.ours is not None:
        parts += [f"commit {row.commit}"] if row.commit else []
        parts += [row.machine] if row.machine else []
    return _cell("; ".join(parts))


def _value(value: Value, unit: str) -> str:
    if value is None:
        return ""
    return f"{value if isinstance(value, str) else _number(value)}{f' {unit}' if unit else ''}"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Reads the command line and writes the page to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger", type=Path)
    sys.stdout.write(page(read_rows(parser.parse_args().ledger)))


if __name__ == "__main__":
    main()
