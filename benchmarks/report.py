"""Makes the page of performance numbers out of the JSON records of the benchmarks.

python -m benchmarks.report F.json ... > docs/performance.md
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rows import Figure, Row, text, verdict

HEAD = """# Performance

Every table is one run of one benchmark, made into this page by `python -m benchmarks.report F.json ...`. Both sides of
a row ran in turns in the same minutes; figures are medians over the rounds, with the smallest and the largest, and
ratios are taken within a round. On a CPU seconds are those of the processor, of threads pinned to the same cores, which
machines that others use too change least; where "wall" or "clock" is said, they are those of the clock. Absolute
figures of a busy machine say little; ratios are what counts. `--huge_pages` sets the environment as the line "settings"
says, for both sides; `--onednn` means something to ours alone, as torch uses oneDNN anyway.
"""

WAITING = """
## Not run: needs a GPU

Nothing here has been timed on an accelerator. On one with 80 GB or more these commands do it; `--peak_tflops` is the
dense peak of an H100 or H200 in bfloat16.

| what | bar | command |
|---|---|---|
| train step beside timm and torch.compile, images a second and utilisation | >= 1.15 of `torch.compile`; \
S 9,000 images/s, 25 % | `python -m benchmarks.train --peer-python=PYTHON_WITH_TIMM --compiled_peer --batch_size=512 \
--steps=20 --unrolled --peak_tflops=989` |
| the same for the base model | 3,600 images/s, 38 % | `python -m benchmarks.train \
--model=vit_relpos_base_patch16_224 --peer-python=PYTHON_WITH_TIMM --compiled_peer --batch_size=512 --steps=20 \
--unrolled --peak_tflops=989` |
| real input beside a batch that stays on the device | >= 0.95 | `python -m benchmarks.train --input=real \
--data=PHOTOS --batch_size=512 --steps=20 --unrolled --dtypes=bfloat16 --threads=16 --input_threads=16` |
| the Gaussian in the step | <= 1.01 | `python -m benchmarks.overhead --batch_size=512 --steps=20 --unrolled \
--dtypes=bfloat16` |
| attention by every kernel, beside cuDNN without a bias | <= 0.10 memory, <= 0.6 time of the port | \
`python -m benchmarks.attention --tokens=196,1024,4096 --dtype=bfloat16 --batch_size=2` |
| receptive fields of 1,000 images | >= 30 times OpenERF | `python -m benchmarks.erf --images=PHOTOS \
--peer-python=PYTHON_WITH_OPENERF --batch_size=250` |
"""


def row_of(found: Mapping[str, object]) -> Row:
    """Reads a row back."""
    sides = {name: None if found[name] is None else Figure(**found[name]) for name in ("ours", "peer", "ratio")}
    return Row(what=found["what"], at_least=found["at_least"], at_most=found["at_most"], **sides)


def section(record: Mapping[str, object]) -> list[str]:
    """One benchmark as Markdown."""
    machine, settings = record["machine"], record["settings"]
    shown = "; ".join(f"`{name}={value}`" for name, value in settings.items() if value) or "none"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("jax", "flax", "python"))
    lines = [
        f"## {record['benchmark'].removeprefix('benchmarks.')}",
        "",
        f"    {record['command']}",
        "",
        *(f"{note}" for note in record["notes"]),
        f"Commit {record['commit']} (with a plus: and changes since); {machine['processor']}, "
        f"{', '.join(machine['extensions'])}; cores used: {machine['cores']}, load {machine['load_average']:.1f}; "
        f"{versions}. Settings: {shown}.",
        "",
        f"| | ours | {record['peer']} | {record['ratio']} | bar |",
        "|---|---|---|---|---|",
    ]
    for row in map(row_of, record["rows"]):
        cells = ["" if side is None else text(side) for side in (row.ours, row.peer, row.ratio)]
        lines.append(f"| {row.what} | {' | '.join(cells)} | {verdict(row)} |")
    return [*lines, ""]


def page(records: Sequence[Mapping[str, object]]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for record in records for line in section(record))]).rstrip() + "\n" + WAITING


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, nargs="+")
    print(page([json.loads(path.read_text()) for path in parser.parse_args().records]), end="")


if __name__ == "__main__":
    main()
