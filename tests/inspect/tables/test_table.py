"""Tables as texts: every cell is a number or says why there is none, and rows of the paper are marked."""

import csv
import io

import pytest

from gauss_vit.command_line.table import width
from gauss_vit.inspect.tables import published
from gauss_vit.inspect.tables.table import (
    PAPER,
    Cell,
    Row,
    Table,
    as_csv,
    as_json,
    as_markdown,
    row_of,
    terminal_lines,
)

TABLE = Table(
    name="s1",
    title="Fits",
    key_heads=("model", "layer"),
    heads=("R2", "top-1"),
    rows=(
        row_of(("small", "0"), (0.78444, None)),
        row_of(("small", "0"), (0.784, 81.462), origin=PAPER),
        Row(keys=("small", "1"), cells=(Cell(value=float("nan"), missing="flat"), Cell(value=1 / 3))),
        row_of(("base", "1"), (1.0, 2.0)),
    ),
    notes=("A note.",),
)


def test_on_a_terminal_equal_keys_stand_once():
    assert terminal_lines(TABLE, columns=80) == [
        "Table s1: Fits",
        "",
        "model  layer  from      R2    top-1",
        "small  0      here   0.784  not run",
        "              paper  0.784   81.462",
        "       1      here    flat    0.333",
        "base   1      here   1.000    2.000",
        "",
        "A note.",
    ]


def test_on_a_narrow_terminal_the_model_stands_above_its_rows():
    lines = terminal_lines(TABLE, columns=30)
    assert lines[2:7] == [
        "  layer  from      R2    top-1",
        "small",
        "  0      here   0.784  not run",
        "         paper  0.784   81.462",
        "  1      here    flat    0.333",
    ]
    assert max(map(width, lines)) <= 30


def test_csv_has_every_key_and_the_reasons():
    rows = list(csv.reader(io.StringIO(as_csv(TABLE))))
    assert rows[0] == ["model", "layer", "from", "R2", "top-1"]
    assert rows[1] == ["small", "0", "here", "0.78444", "not run"]
    assert rows[3] == ["small", "1", "here", "flat", "0.3333333"]


def test_json_has_null_with_a_reason_where_nothing_was_computed():
    first, stated, flat, _ = as_json(TABLE)["rows"]
    assert first == {
        "model": "small",
        "layer": "0",
        "from": "here",
        "values": {"R2": 0.78444, "top-1": None},
        "missing": {"top-1": "not run"},
    }
    assert (stated["from"], stated["missing"]) == ("paper", {})
    assert (flat["values"]["R2"], flat["missing"]) == (None, {"R2": "flat"})


def test_markdown_is_a_table_with_notes():
    lines = as_markdown(TABLE).splitlines()
    assert lines[2:5] == [
        "| model | layer | from | R2 | top-1 |",
        "| --- | --- | --- | ---: | ---: |",
        "| small | 0 | here | 0.784 | not run |",
    ]
    assert lines[-1] == "A note."


@pytest.mark.parametrize("size", ["S", "M", "B"])
def test_what_the_paper_states_is_complete(size: str):
    assert [len(layer) for layer in published.POSITION_FITS[size]] == [3] * 12
    assert set(published.FINE_TUNED[size]) == set(published.LEARNED[size]) == set(published.BY_HEAD)
    assert set(published.SIZES.values()) == {"S", "M", "B"} == set(published.FROM_SCRATCH)


def test_what_two_tables_of_the_paper_share_is_equal_in_both():
    for data, by_split in published.BY_HEAD.items():
        assert by_split["test"][:2] == published.FINE_TUNED["S"][data]
