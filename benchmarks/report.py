"""Writes the page of performance numbers from the JSON records of the benchmarks.

python -m benchmarks.report benchmarks/records/*.json > docs/performance.md

The records of the page are in `benchmarks/records`, in the order of their names.
"""

import argparse
import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rows import Figure, Row, text, verdict

HEAD = """# Performance

Every table is one run of one benchmark; `python -m benchmarks.report benchmarks/records/*.json` writes this page from
the records. Both sides of a row ran in turns in the same minutes; figures are medians over the rounds, with the
smallest and the largest, and ratios are taken within a round. On a CPU, seconds are processor seconds of threads pinned
to the same cores, which depend least on what else a machine does; where "wall" or "clock" is said, they are those of
the clock. Absolute figures of a busy machine say little; compare the ratios. `--huge_pages` sets the environment as the
line "settings" says, for both sides; `--onednn` changes our side alone, as torch uses oneDNN anyway.

In "ahead" nothing was timed: the training step was compiled for an accelerator on a machine without one. Temporary
memory is what the compiler sets aside on a device. Traffic is counted in the compiled program: every kernel reads each
operand once and writes each result once, slices and updates in place count as such, and loops as often as they run;
caches and the workspaces of libraries are left out. Cycles of a TPU are the sum of the compiler's own estimates.
Products are not tuned without the device. Use the ratios, and expect times to follow where memory is the limit.
"""

ON_A_GPU = """
## Not run yet: needs a GPU

{state}
`python -m benchmarks.device --minutes=8` runs the most valuable checks on a GPU that is lent for minutes, each in a
time box. On an H200, whose memory they count on, these commands do everything, and each is meant to end within ten
minutes; `--peak_tflops` is its dense peak in bfloat16. What the compiler makes of the step for an H200 is above, under
"ahead".

| what | bar | command |
|---|---|---|
{rows}
"""
NOTHING = "Nothing here has been timed on an accelerator."
SOME = "What is above has been timed on an accelerator where its device says so; this has not."

CPU = re.compile(r"\d+ x cpu", re.IGNORECASE)
FREE = (
    *("--rounds", "--steps", "--batch_size", "--threads", "--input_threads", "--core"),
    *("--unrolled", "--huge_pages", "--peak_tflops", "--compile_rounds"),
)
"""Flags that a machine may need otherwise, and that make no other comparison."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """A comparison that needs a GPU.

    Attributes:
      what: what is compared.
      bar: what it must reach.
      command: what runs it.
    """

    what: str
    bar: str
    command: str


_TRAIN = "python -m benchmarks.train --peer-python=PYTHON_WITH_TIMM --compiled_peer"
_STEPS = "--dtypes=bfloat16 --steps=20 --unrolled"

WAITING = (
    Waiting(
        what="train step of S beside timm, `torch.compile` and `torch.compile` without a bias; images a second and "
        "utilisation",
        bar=">= 1.15 of `torch.compile`; >= 1.0 of vit_small_patch16_224 compiled; 9,000 images/s, 25 %",
        command=f"{_TRAIN} --plain_peer=vit_small_patch16_224 {_STEPS} --batch_size=512 --rounds=5 --peak_tflops=989",
    ),
    Waiting(
        what="the same for M, without the last",
        bar=">= 1.15 of `torch.compile`; 6,200 images/s, 30 %",
        command=f"{_TRAIN} --model=vit_relpos_medium_patch16_224 {_STEPS} --batch_size=512 --rounds=5 "
        "--peak_tflops=989",
    ),
    Waiting(
        what="the same for B",
        bar=">= 1.15 of `torch.compile`; 3,600 images/s, 38 %",
        command=f"{_TRAIN} --model=vit_relpos_base_patch16_224 {_STEPS} --batch_size=512 --rounds=5 --peak_tflops=989",
    ),
    Waiting(
        what="real input beside a batch that stays on the device",
        bar=">= 0.95",
        command=f"python -m benchmarks.train --input=real --data=PHOTOS {_STEPS} --batch_size=512 --rounds=5 "
        "--input_threads=16 --resampler=simd",
    ),
    Waiting(
        what="the Gaussian in the step",
        bar="<= 1.01 of the relative bias alone, <= 1.05 of none",
        command=f"python -m benchmarks.overhead {_STEPS} --batch_size=512 --rounds=5 --compile_rounds=0",
    ),
    Waiting(
        what="attention by every kernel, beside the port and cuDNN without a bias, and whether each is right",
        bar="at 4,096 tokens <= 0.6 of the port's time, <= 0.10 of its memory, <= 1.3 of cuDNN without a bias; "
        "distances <= 0.02",
        command="python -m benchmarks.attention --cases=1024x196,8x1024,2x4096 --check=64,196,576,784 --dtype=bfloat16 "
        "--rounds=5",
    ),
    Waiting(
        what="receptive fields of 1,000 images",
        bar=">= 30 times OpenERF",
        command="python -m benchmarks.erf --images=PHOTOS --peer-python=PYTHON_WITH_OPENERF --batch_size=250 "
        "--rounds=3 --unrolled",
    ),
)


def row_of(found: Mapping[str, object]) -> Row:
    """Reads a row back."""
    sides = {name: None if found[name] is None else Figure(**found[name]) for name in ("ours", "peer", "ratio")}
    return Row(what=found["what"], at_least=found["at_least"], at_most=found["at_most"], **sides)


def section(record: Mapping[str, object]) -> list[str]:
    """One benchmark as Markdown; records of older versions know less."""
    lines = [
        f"## {record['benchmark'].removeprefix('benchmarks.')}",
        "",
        f"    {record['command']}",
        "",
        *(f"{note}" for note in record["notes"]),
        origin(record),
        "",
        f"| | ours | {record['peer']} | {record['ratio']} | bar |",
        "|---|---|---|---|---|",
    ]
    for row in map(row_of, record["rows"]):
        cells = ["" if side is None else text(side) for side in (row.ours, row.peer, row.ratio)]
        lines.append(f"| {row.what} | {' | '.join(cells)} | {verdict(row)} |")
    return [*lines, ""]


def origin(record: Mapping[str, object]) -> str:
    """Where a record comes from: commit, machine, device, versions of both sides and settings."""
    machine = record["machine"]
    shown = "; ".join(f"`{name}={value}`" for name, value in record["settings"].items() if value) or "none"
    versions = {name: machine[name] for name in ("jax", "flax", "python")} | machine.get("packages", {})
    peer = listed(record.get("peer_versions", {}))
    return (
        f"Commit {record['commit']} (with a plus: and changes since); device: {machine['device']}; "
        f"{machine['processor']}, {', '.join(machine['extensions'])}; cores used: {machine['cores']}, "
        f"load {machine['load_average']:.1f}; {listed(versions)}. {f'The peer: {peer}. ' if peer else ''}"
        f"Settings: {shown}."
    )


def listed(versions: Mapping[str, str]) -> str:
    """Packages with their versions."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def is_accelerated(record: Mapping[str, object]) -> bool:
    """Says whether a record was made on an accelerator."""
    return CPU.fullmatch(record["machine"]["device"]) is None


def essence(command: str) -> frozenset[str]:
    """The words of a command that make it what it compares; places of interpreters all count as one."""
    words = [word for word in shlex.split(command) if word.partition("=")[0] not in FREE]
    return frozenset("--peer-python" if word.startswith("--peer-python") else word for word in words)


def waiting(records: Sequence[Mapping[str, object]]) -> str:
    """What no record of an accelerator has measured; nothing where all has been."""
    accelerated = {essence(record["command"]) for record in records if is_accelerated(record)}
    left = [one for one in WAITING if essence(one.command) not in accelerated]
    if not left:
        return ""
    table = "\n".join(f"| {one.what} | {one.bar} | `{one.command}` |" for one in left)
    return ON_A_GPU.format(state=SOME if accelerated else NOTHING, rows=table)


def page(records: Sequence[Mapping[str, object]]) -> str:
    """The whole page."""
    sections = [line for record in records for line in section(record)]
    return "\n".join([HEAD, *sections]).rstrip() + "\n" + waiting(records)


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, nargs="+")
    print(page([json.loads(path.read_text()) for path in parser.parse_args().records]), end="")


if __name__ == "__main__":
    main()
