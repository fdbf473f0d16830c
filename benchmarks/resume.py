"""Kills a training run, resumes it, and compares what it logged with an uninterrupted run; writes JSON.

python -m benchmarks.resume [--config=configs/digits_gauss.py] [--num_steps=200] [--checkpoint_every=50] [--out=F.json]

Both runs are processes of `gauss_vit.main`. The killed one is ended by SIGKILL as soon as its first checkpoint is on
the disk, and started again by the same command. Their metrics.jsonl must be equal to the last byte. On accelerators
that holds where the compiler's sums are deterministic; the row says how it is on this one.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import process, rows
from benchmarks.rows import Row

ROOT = Path(__file__).parent.parent
METRICS = "metrics.jsonl"


def command(options: argparse.Namespace, workdir: Path) -> list[str]:
    """Writes the command of both runs."""
    return [
        *(sys.executable, "-m", "gauss_vit.main", f"--config={options.config}", f"--workdir={workdir}"),
        f"--config.training.num_steps={options.num_steps}",
        f"--config.training.checkpoint_every={options.checkpoint_every}",
    ]


def finish(words: list[str]) -> float:
    """Runs a command to its end and returns its seconds.

    Raises:
      CalledProcessError: It failed.
    """
    begin = time.monotonic()
    subprocess.run(words, cwd=ROOT, check=True)
    return time.monotonic() - begin


def kill_at_first_checkpoint(words: list[str], workdir: Path) -> bool:
    """Starts a run and kills it once it has saved; returns whether it was still running then."""
    running = subprocess.Popen(words, cwd=ROOT)
    while running.poll() is None and not _has_checkpoint(workdir):
        time.sleep(0.01)
    was_running = running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    return was_running


def _has_checkpoint(workdir: Path) -> bool:
    return any(path.name.isdecimal() and int(path.name) for path in (workdir / "checkpoints").glob("*"))


def num_different(one: bytes, other: bytes) -> int:
    r"""Counts the lines that differ, missing ones included.

    >>> num_different(b"1\n2\n", b"1\n3\n4\n")
    2
    """
    lines, others = one.splitlines(), other.splitlines()
    shared = sum(left != right for left, right in zip(lines, others, strict=False))
    return shared + abs(len(lines) - len(others))


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/digits_gauss.py")
    parser.add_argument("--num_steps", type=int, default=200)
    parser.add_argument("--checkpoint_every", type=int, default=50)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    process.show_log()
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder) / "alone", Path(folder) / "killed"
        seconds = finish(command(options, alone))
        was_killed = kill_at_first_checkpoint(command(options, killed), killed)
        resumed = finish(command(options, killed))
        different = num_different((alone / METRICS).read_bytes(), (killed / METRICS).read_bytes())
    table = [
        Row(what="lines of metrics.jsonl that differ", ours=rows.figure([different]), at_most=0),
        Row(what="runs killed while they trained", ours=rows.figure([was_killed]), at_least=1),
        Row(what="a run left alone", ours=rows.figure([seconds], "s")),
        Row(what="the rest after the kill", ours=rows.figure([resumed], "s")),
    ]
    rows.show(table)
    note = f"{options.config}, {options.num_steps} steps, a checkpoint every {options.checkpoint_every}."
    rows.write(options.out, rows.record(table, ratio="ours", peer="left alone", notes=[note]))


if __name__ == "__main__":
    main()
