"""`preflight`: whether all processes of a run are there, agree, have the data and the workdir, and make a step."""

import time

from gauss_vit.assembly.device import experiment_here
from gauss_vit.assembly.preflight import Preflight
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation


def run(invocation: Invocation) -> None:
    """Makes every check, says what it found, and ends where something is missing. Nothing of a run is changed.

    Raises:
      UserError: of the first process where something is wrong, in all of them.
      PeerError: processes differ, or one did not come or answer in time.
    """
    start, experiment = time.monotonic(), experiment_here(invocation.required_experiment())
    checks = Preflight(experiment, limit=float(invocation.text("limit")))
    for line in checks.lines(invocation.path("workdir")):
        say(line)
    say(f"preflight passed in {time.monotonic() - start:.0f} s")
