"""The ledger: its page is current, it has every item of the paper, and the numbers of README come from it."""

import re
from pathlib import Path

import pytest

from benchmarks import ledger
from gauss_vit.studies.ledger import LedgerRow, read_rows

ROOT = Path(__file__).parents[2]
ROWS = read_rows(ROOT / "docs" / "ledger.json")
ITEMS = {
    *(f"Figure {number}" for number in (1, 2, 4, 5, 6)),
    *(f"Table {number}" for number in (1, 2, 3, 4)),
    *(f"Supplement table {number}" for number in (1, 3, 4)),
    "README",
}
PAGES = (ROOT / "README.md", ROOT / "docs" / "index.md")
# Names with a digit, which claim nothing.
NAMES = (r"ADE20K", r"BMVC 2023", r"arXiv 2305\.04722", r"Apache-2\.0", r"Python 3\.11 to 3\.13")


def test_page_is_that_of_the_rows():
    written = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert written == ledger.page(ROWS), "run python -m benchmarks.ledger docs/ledger.json > docs/ledger.md"


def test_every_item_of_the_paper_has_a_row():
    assert {row.item for row in ROWS} >= ITEMS


def test_every_small_row_has_an_interval_and_seeds():
    assert [row.what for row in ROWS if row.scale == "small" and (row.interval is None or not row.seeds)] == []


def test_every_row_that_was_run_says_on_what():
    assert [row.what for row in ROWS if row.ours is not None and row.machine is None] == []


def test_rows_are_told_apart():
    names = [(row.item, row.what) for row in ROWS]
    assert len(set(names)) == len(names)


def prose(text: str) -> str:
    """Text without code, links and names."""
    for pattern in (r"```.*?```", r"(?m)^ {4}.*$", r"`[^`]*`", r"(?<=\])\([^)]*\)", *NAMES):
        text = re.sub(pattern, "", text, flags=re.DOTALL if pattern.startswith("```") else 0)
    return text


def in_lines(quoted: str) -> re.Pattern[str]:
    """What finds a text in a page, wherever its lines end."""
    return re.compile(r"\s+".join(map(re.escape, quoted.split())))


def unsourced(text: str, rows: tuple[LedgerRow, ...]) -> list[str]:
    """Lines of a page with a number that no row of the ledger quotes."""
    for quoted in (quoted for row in rows for quoted in row.quoted):
        text = in_lines(quoted).sub("", text)
    return [line for line in prose(text).splitlines() if re.search(r"\d", line)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_numbers_come_from_the_ledger(path: Path):
    assert unsourced(path.read_text(encoding="utf-8"), ROWS) == []


def test_number_without_a_row_would_be_found():
    quoted = tuple(row for row in ROWS if row.quoted)[:1]
    text = f"# Title\n\n{quoted[0].quoted[0]}.\nWe gain 1.5 points. `code 3` [link](a_1.md), BMVC 2023.\n"
    assert unsourced(text, quoted) == ["We gain 1.5 points.  [link], ."]


def test_quoted_texts_are_in_a_page():
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert [quoted for row in ROWS for quoted in row.quoted if not in_lines(quoted).search(pages)] == []


def test_configs_exist():
    paths = {row.config.partition(".py")[0] + ".py" for row in ROWS if row.config is not None}
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []
