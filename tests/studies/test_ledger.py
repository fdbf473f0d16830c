"""Rows of a ledger: what they refuse, and that files give back what was written."""

import dataclasses
import json
from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError, DataError
from gauss_vit.studies.ledger import LedgerRow, read_rows, write_rows

ROW = LedgerRow(
    item="Table 2",
    what="top-1",
    unit="%",
    paper=80.5,
    ours=33.75,
    seeds=(0, 1),
    interval=(30.0, 36.5),
    config="configs/a.py",
    commit="abc",
    machine="1 x cpu",
    scale="small",
    command="gauss-vit study",
    quoted=("a third",),
)
KEYS = {"paper", "ours", "seeds", "interval", "config", "commit", "machine", "scale", "command"}


def test_file_gives_back_the_rows(tmp_path: Path):
    rows = (ROW, LedgerRow(item="Table 3", what="top-1", paper="92 to 93", scale="not run"))
    write_rows(tmp_path / "ledger.json", rows)
    assert read_rows(tmp_path / "ledger.json") == rows
    assert json.loads((tmp_path / "ledger.json").read_text())["rows"][0].keys() >= KEYS


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"scale": "not run"}, "where, and only where, it was run"),
        ({"ours": None}, "where, and only where, it was run"),
        ({"command": None}, "needs the command"),
    ],
)
def test_rows_that_cannot_be_true_are_refused(changes: dict, complaint: str):
    with pytest.raises(ConfigError, match=complaint):
        dataclasses.replace(ROW, **changes)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a ledger"),
        ('{"rows": [{"item": "a", "what": "b", "scale": "not run", "score": 3}]}', "unknown keys"),
        ('{"rows": [{"item": "a"}]}', "row 0"),
        ('{"rows": [{"item": "a", "what": "b", "scale": "tiny"}]}', "row 0"),
        ('{"rows": [{"item": "a", "what": "b", "scale": "not run", "seeds": null}]}', "seeds must be a list"),
        ('{"rows": [{"item": "a", "what": "b", "scale": "not run", "interval": [1]}]}', "row 0"),
        ('{"rows": [3]}', "unknown keys"),
    ],
)
def test_other_files_are_refused_by_one_line(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_rows(tmp_path / "ledger.json")
