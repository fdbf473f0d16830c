"""The console: results and warnings go to different streams, cannot control the terminal, and need none of them."""

import io
import sys

import pytest

from gauss_vit.command_line.console import can_write, remark, say, warn

HOSTILE = "a\x1b[2J\u202eb\rc"
SHOWN = r"a\x1b[2J\u202eb\rc"


def test_results_and_warnings_go_to_different_streams(capsys: pytest.CaptureFixture[str]):
    say("result")
    warn("careful")
    assert capsys.readouterr() == ("result\n", "gauss_vit: warning: careful\n")


def test_nothing_controls_the_terminal(capsys: pytest.CaptureFixture[str]):
    say(f"{HOSTILE}\n{HOSTILE}")
    remark(HOSTILE)
    warn(f"{HOSTILE}\ngauss_vit: error[FORGED]")
    shown = capsys.readouterr()
    assert shown.out == f"{SHOWN}\n{SHOWN}\n"
    assert shown.err == f"{SHOWN}\ngauss_vit: warning: {SHOWN}\\ngauss_vit: error[FORGED]\n"


def test_what_an_old_terminal_cannot_show_is_known(monkeypatch: pytest.MonkeyPatch):
    for encoding, can_show in (("utf-8", True), ("ascii", False), ("latin-1", False)):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        assert (can_write("█"), can_write("#")) == (can_show, True)
    monkeypatch.setattr(sys, "stdout", None)
    assert (can_write("█"), can_write("#")) == (False, True)
