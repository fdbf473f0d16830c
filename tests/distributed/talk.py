"""A process that joins others and tells them its number; run by the tests of `gauss_vit.distributed`.

Arguments: the choice of `--distributed`, and what to do.
"""

import json
import sys
from pathlib import Path

import jax

from gauss_vit import main
from gauss_vit.distributed import processes, start
from gauss_vit.errors import UserError


def listening(port: int) -> list[str]:
    """The local addresses, as the kernel writes them, at which anything listens on a port."""
    rows = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]
    ]
    return [row[1].partition(":")[0] for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == port]


def talk(choice: str, act: str) -> int:
    """Prints what is gathered, as a JSON line."""
    start.start(choice, platform="cpu", limit=20.0)
    gathered = [processes.gather("numbers", {"index": processes.index(), "turn": turn}, limit=20.0) for turn in (1, 2)]
    said = {
        "gathered": gathered,
        "devices": jax.device_count(),
        "local": jax.local_device_count(),
        "listening": listening(int(choice.split(",")[0].rpartition(":")[2])),
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    if act == "absent" and processes.index() == 1:
        return 0
    if act == "absent":
        processes.barrier("the meeting", limit=1.0)
    return 0


if __name__ == "__main__":
    try:
        status = talk(*sys.argv[1:])
    except UserError as error:
        status = main._report(error)
    start.leave(status)
    sys.exit(status)
