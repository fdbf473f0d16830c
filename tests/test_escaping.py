"""No text controls a terminal, and text of every script stays as it is."""

import logging

import pytest

from gauss_vit.escaping import LogFormatter, escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\x1b[2J", r"a\nb\x1b[2J"),
        ("\x1b]0;title\x07\x9b31m\x7f", r"\x1b]0;title\x07\x9b31m\x7f"),
        ("cat\u202egpj.exe\u2066\u200f", r"cat\u202egpj.exe\u2066\u200f"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),
        ("one\u2028two", r"one\u2028two"),
        ("ä 猫 عربي 3.04\u202fPM\u00a0é", "ä 猫 عربي 3.04\u202fPM\u00a0é"),
    ],
)
def test_only_what_controls_a_terminal_is_escaped(text: str, shown: str):
    assert escaped(text) == shown


def test_lines_can_be_kept():
    assert escaped("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


def test_characters_of_every_kind_can_be_written_and_no_escaped_one_is_escaped_again():
    text = "".join(
        map(chr, (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000), *range(0xE0000, 0xE0100)))
    )
    shown = escaped(text)
    assert escaped(shown) == shown
    assert shown.encode("utf-8")
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


def test_a_name_that_is_logged_cannot_forge_a_line():
    record = logging.LogRecord("gauss_vit", logging.INFO, "", 0, "%s", ("a\x1b[2J\nforged",), None)
    assert LogFormatter().format(record) == r"a\x1b[2J\nforged"
