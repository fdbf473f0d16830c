"""The console: results and warnings go to different streams."""

import pytest

from gauss_vit.command_line.console import say, warn


def test_results_and_warnings_go_to_different_streams(capsys: pytest.CaptureFixture[str]):
    say("result")
    warn("careful")
    assert capsys.readouterr() == ("result\n", "gauss_vit: warning: careful\n")
