"""Help: everything in the table is on the page, at any width."""

import pytest

from gauss_vit.command_line import help as pages
from gauss_vit.command_line.verb import Verb
from gauss_vit.commands.verbs import VERBS

WIDTHS = (76, 80, 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_verb_is_listed(width: int):
    lines = pages.program_help(VERBS, width=width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert [line.split()[0] for line in lines[2 : 2 + len(VERBS)]] == list(VERBS)
    assert all(f"  {name} " in "\n".join(lines) for name in VERBS)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_flag_is_listed_with_its_default(verb: Verb, width: int):
    page = pages.verb_help(verb, width=width)
    assert page.startswith(f"usage: gauss-vit {verb.name} ")
    assert all(len(line) <= width for line in page.splitlines())
    text = " ".join(page.split())
    for flag in verb.flags:
        assert f"--{flag.name}" in text or f"--no{flag.name}" in text
        assert " ".join(flag.help.split()) in text
        assert (
            flag.default is None or isinstance(flag.default, bool) or f"Default: {flag.default:}".rstrip(".0") in text
        )
    assert ("--config.KEY=VALUE" in page) == (verb.config != "none")
