"""A process that C++ aborts ends with a line of ours."""

import signal
import subprocess
import sys

WITHIN = """
import ctypes, threading, time
from gauss_vit.distributed import ending
from gauss_vit.errors import PeerError
with ending.on_abort(lambda: ending.at_once(PeerError("the coordinator is gone", do="look at its log"))):
    threading.Thread(target=ctypes.CDLL(None).abort).start()
    time.sleep(20)
"""
AFTERWARDS = """
import os
from gauss_vit.distributed import ending
from gauss_vit.errors import PeerError
with ending.on_abort(lambda: ending.at_once(PeerError("the coordinator is gone", do="look at its log"))):
    pass
os.abort()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=15, check=False)


def test_abort_in_another_thread_ends_the_process_with_its_line():
    ended = run(WITHIN)
    assert ended.returncode == 6
    assert ended.stderr == "gauss_vit: error[PEER-LOST]: the coordinator is gone. DO: look at its log\n"


def test_abort_is_one_again_afterwards():
    assert run(AFTERWARDS).returncode == -signal.SIGABRT
