"""Times our train step beside timm's on the same model, in turns, and writes JSON and a table.

python -m benchmarks.train --peer-python=/path/to/python [--depth=12] [--batch_size=8] [--rounds=9] [--steps=1]
    [--unrolled] [--attention_kernel=auto] [--dtypes=float32,bfloat16] [--onednn] [--huge_pages] [--compiled_peer]
    [--gaussian_peer] [--plain_peer=vit_small_patch16_224] [--peak_tflops=989] [--threads=1] [--core=0] [--out=F.json]
python -m benchmarks.train --input=real --data=PHOTOS [--input_threads=1] [--resampler=pillow] [--model=...]
    [--depth=12] [--batch_size=8] [--rounds=9] [--steps=4] [--dtypes=float32,bfloat16] [--threads=1] [--out=F.json]

Both train `vit_relpos_small_patch16_224` by AdamW, forward, backward and update, in float32 and in bfloat16 (parameters
in float32). Ours is the step that `gauss_vit.train.loop` runs: it also normalises bytes, adds the Gaussian bias in
every block, measures the gradient's norm, and checks everything for numbers that are not finite; timm's gets floats
that are normalised already. The peer is timm eager; with `--compiled_peer` also `torch.compile` (minutes to compile),
with `--gaussian_peer` also timm with a Gaussian, built as the paper's authors do, and with `--plain_peer` also
`torch.compile` of a model that has no bias and the vendor's fastest attention. Without `--peer-python` ours is timed
alone.

On a CPU both are pinned to the same cores and timed by processor seconds. On an accelerator give `--steps=20`: images
a second by the clock, and with `--peak_tflops`, the dense peak of all devices in bfloat16, the utilisation (the model's
operations, nothing recomputed, over the peak). There, what whole models on one GPU must reach in bfloat16 is set in
images a second as well.

With `--input=real` ours takes turns with itself: fed by the input pipeline, which reads, decodes, crops, resizes and
flips the photos of a folder on threads, and on one batch of noise that stays on the device. Use several steps a round,
so that what the threads prefetch is little beside what is used.
"""

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import jax

from benchmarks import kernel, process, real_input, rows, timing
from benchmarks.process import Peer
from benchmarks.rows import Row
from benchmarks.steps import Steps, experiment_of, varied
from benchmarks.timing import Seconds
from gauss_vit.data.images.transforms import Resampler
from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.kernels.choice import KernelChoice
from gauss_vit.models import construct
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.vit import PRESETS_VIT
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train import cost
from gauss_vit.train.state import AbstractModel

BARS = {"eager float32": 0.85, "compiled bfloat16": 1.15, "plain bfloat16": 1.0}
"""How many times the peer's images a second ours must reach: on a CPU, and on an accelerator."""

GPU_BARS = {
    "vit_relpos_small_patch16_224": (9_000, 0.25),
    "vit_relpos_medium_patch16_224": (6_200, 0.30),
    "vit_relpos_base_patch16_224": (3_600, 0.38),
}
"""Images a second and utilisation that whole models must reach in bfloat16 on one H100 or H200."""


def our_config(options: argparse.Namespace, dtype: str) -> ViTConfig:
    """The preset with the Gaussian."""
    preset = PRESETS_VIT[options.model]
    compute = Compute(dtype=dtype, kernel=options.attention_kernel)
    config = with_terms(dataclasses.replace(preset, compute=compute), Gaussian())
    return varied(config, depth=options.depth, is_unrolled=options.unrolled)


def depth_of(options: argparse.Namespace) -> int:
    """How many blocks the models have."""
    return options.depth or PRESETS_VIT[options.model].depth


def peer_of(options: argparse.Namespace) -> Peer | None:
    """Starts timm, where there is an interpreter that has it."""
    if options.peer_python is None:
        return None
    sizes = (depth_of(options), options.batch_size, options.steps, options.threads)
    plain = options.plain_peer or options.model
    return Peer(options.peer_python, "benchmarks.timm_peer", options.model, plain, *sizes)


def cases(options: argparse.Namespace, peer: Peer | None) -> dict[str, Callable[[], Seconds]]:
    """Makes all sides, compiled and warm; peers by their own name, ours by the type alone."""
    sides: dict[str, Callable[[], Seconds]] = {}
    kinds = ["eager", *["compiled"] * options.compiled_peer, *["gaussian"] * options.gaussian_peer]
    kinds += ["plain"] * (options.plain_peer is not None)
    for dtype in options.dtypes.split(","):
        steps = Steps(experiment_of(our_config(options, dtype), batch_size=options.batch_size))
        steps(1)
        sides[dtype] = partial(timing.settled, partial(steps, options.steps))
        if peer is not None:
            sides |= {f"{kind} {dtype}": partial(peer.seconds, f"{kind} {dtype}") for kind in kinds}
    return sides


def rates(measured: list[Seconds], options: argparse.Namespace, clock: str) -> list[float]:
    """Images a second of every round."""
    return [options.batch_size * options.steps / seconds for seconds in timing.of_clock(measured, clock)]


def compared(found: dict[str, list[Seconds]], options: argparse.Namespace, clock: str) -> list[Row]:
    """A row for every peer and type; one of ours alone where there is no peer, or a bar of its own."""
    table = []
    for name, measured in found.items():
        dtype = name.split()[-1]
        peer, ours = rates(measured, options, clock), rates(found[dtype], options, clock)
        own = rows.figure(ours, "images/s")
        if name != dtype:
            ratio, other = rows.quotient(ours, peer), rows.figure(peer, "images/s")
            table.append(Row(what=name, ours=own, peer=other, ratio=ratio, at_least=bar(name)))
            continue
        images, _ = own_bars(options, dtype)
        if options.peer_python is None or images is not None:
            table.append(Row(what=name, ours=own, at_least=images))
    return table


def bar(name: str) -> float | None:
    """The bar of a comparison on this backend."""
    is_cpu = jax.default_backend() == "cpu"
    return BARS.get(name) if is_cpu == name.endswith("float32") else None


def own_bars(options: argparse.Namespace, dtype: str) -> tuple[float | None, float | None]:
    """The bars of images a second and of utilisation, on one GPU."""
    is_whole = depth_of(options) == PRESETS_VIT[options.model].depth
    is_judged = jax.default_backend() == "gpu" and jax.device_count() == 1 and is_whole and dtype == "bfloat16"
    return GPU_BARS.get(options.model, (None, None)) if is_judged else (None, None)


def utilisation(found: dict[str, list[Seconds]], options: argparse.Namespace, clock: str) -> list[Row]:
    """The share of the peak that the model's operations take."""
    config = dataclasses.replace(our_config(options, "float32"), compute=Compute(kernel="reference"))
    graph, params = construct.abstract(NetworkConfig(backbone=config, head=LinearHead()))
    flops = cost.image_flops(AbstractModel(graph=graph, params=params), config.image_size).backward
    return [
        Row(
            what=f"utilisation of {options.peak_tflops:g} TFLOP/s, {dtype}",
            ours=rows.figure([rate * flops / (options.peak_tflops * 1e12) for rate in rates(measured, options, clock)]),
            at_least=own_bars(options, dtype)[1],
        )
        for dtype, measured in found.items()
        if " " not in dtype
    ]


def attention_note(options: argparse.Namespace) -> str:
    """Names the kernels of attention."""
    return kernel.note(our_config(options, dtype) for dtype in options.dtypes.split(","))


def beside_timm(options: argparse.Namespace) -> dict[str, object]:
    """Times both train steps, prints a table and makes the record."""
    peer = peer_of(options)
    sides = cases(options, peer)
    timing.interleaved(sides, rounds=1)
    found = timing.interleaved(sides, rounds=options.rounds)
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"
    table = compared(found, options, clock)
    if options.peak_tflops:
        table += utilisation(found, options, clock)
    rows.show(table)
    details: dict[str, object] = {"seconds": found}
    if peer is not None:
        details["peer_versions"] = peer.versions()
        peer.close()
    sizes = f"{options.model}, batch {options.batch_size}, depth {depth_of(options)}, by the {clock} clock."
    notes = [sizes, attention_note(options)]
    if options.plain_peer is not None:
        notes.append(f'"plain" is torch.compile of {options.plain_peer}, without a bias.')
    return rows.record(table, ratio="ours / timm's images a second", peer="timm", notes=notes, **details)


def beside_noise(options: argparse.Namespace) -> dict[str, object]:
    """Times our train step on photos and on noise, prints a table and makes the record."""
    sides: dict[str, Callable[[], Seconds]] = {}
    for dtype in options.dtypes.split(","):
        sides |= real_input.cases(our_config(options, dtype), options)
    timing.interleaved(sides, rounds=1)
    found = timing.interleaved(sides, rounds=options.rounds)
    table = real_input.compared(found, options, is_cpu=jax.default_backend() == "cpu")
    rows.show(table)
    notes = (*real_input.notes(options), attention_note(options))
    return rows.record(table, ratio="real / noise, images a second", peer="noise", notes=notes, seconds=found)


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--model", default="vit_relpos_small_patch16_224")
    parser.add_argument("--depth", type=int)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--unrolled", action="store_true")
    parser.add_argument("--compiled_peer", action="store_true")
    parser.add_argument("--gaussian_peer", action="store_true")
    parser.add_argument("--plain_peer", metavar="MODEL", help="timm's model without a bias, to compile as well")
    parser.add_argument("--attention_kernel", default="auto", choices=get_args(KernelChoice))
    parser.add_argument("--peak_tflops", type=float)
    parser.add_argument("--input", choices=("synthetic", "real"), default="synthetic")
    parser.add_argument("--data", type=Path, help="folder of photos, for real input")
    parser.add_argument("--input_threads", type=int, default=1, help="threads that decode them")
    parser.add_argument("--resampler", default="pillow", choices=get_args(Resampler), help="what resizes them")
    process.add_flags(parser)
    options = parser.parse_args()
    if (options.input == "real") != (options.data is not None):
        parser.error("--input=real and --data=PHOTOS go together")
    process.prepare(options)
    record = beside_timm(options) if options.input == "synthetic" else beside_noise(options)
    rows.write(options.out, record)


if __name__ == "__main__":
    main()
