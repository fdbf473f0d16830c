"""Compiles the train step for an accelerator that this machine does not have, and counts what it would do.

python -m benchmarks.ahead --target=h200 [--model=vit_relpos_small_patch16_224] [--batch_size=512] [--dtype=bfloat16]
    [--kernels=auto,einsum,whole] [--loop] [--depth=12] [--image_size=224] [--out=F.json]
python -m benchmarks.ahead --target=v5e:2x2 ...
python -m benchmarks.ahead --target=h200 --config=configs/ade20k.py --config=configs/ade20k.py:bias=none --kernels=auto

XLA needs no accelerator to compile for one, only its plugin: `pip install -e '.[cuda]'` for NVIDIA GPUs, '.[tpu]' for
TPUs. The step is the one that `gauss_vit.train.loop` runs, on all devices of the target, data parallel: of a model with
the Gaussian that classifies, or of each config that is given, with its own head, loss and optimizer. Every kernel of
attention that is listed compiles it once, blocks one by one; with `--loop`, or for a kernel listed as `whole:loop`,
blocks are in a loop. Ratios are to the first listed.

Without tuning, XLA may have no tiles for a product that it gives to Triton, and says so; with
XLA_FLAGS=--xla_gpu_enable_triton_gemm=false, cuBLAS computes them all.

Nothing is timed but the compiler: memory is what it sets aside, cycles of a TPU are its own estimate, and the traffic
of a GPU is counted in the program by `benchmarks.traffic`, which says how.
"""

import argparse
import dataclasses
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import jax

from benchmarks import ahead_program, kernel, rows, timing, traffic
from benchmarks.ahead_target import Target, as_on, first_line, target_of
from benchmarks.rows import Row
from benchmarks.steps import experiment_of, noise_shapes, recipe_of, varied
from benchmarks.traffic import Work
from gauss_vit.assembly.device import model_here
from gauss_vit.errors import ConfigError, UserError
from gauss_vit.experiment import Experiment
from gauss_vit.kernels.choice import KernelChoice
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.compute import ActivationType
from gauss_vit.models.presets.vit import PRESETS_VIT
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.quantities import counted
from gauss_vit.train.program import make_program

IN_LOOP = ":loop"
BATCH_SIZE = 512
"""Images of a step that classifies."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What is known of a compiled step; all of one device.

    Attributes:
      temporary_bytes: what the compiler sets aside besides arguments and results.
      argument_bytes: the train state, which the step changes in place, and the batch.
      work: what its program does.
      seconds: tracing and compiling it, by the clock.
    """

    temporary_bytes: int
    argument_bytes: int
    work: Work
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A figure of a compiled step.

    Attributes:
      what: its name.
      unit: of its value.
      value: takes it.
    """

    what: str
    unit: str
    value: Callable[[Compiled], float]


TEMPORARY = Quantity(what="temporary memory", unit="MB", value=lambda step: step.temporary_bytes / 1e6)
ARGUMENTS = Quantity(what="arguments", unit="MB", value=lambda step: step.argument_bytes / 1e6)
TRAFFIC = Quantity(what="memory traffic", unit="GB", value=lambda step: step.work.traffic_bytes / 1e9)
PRODUCTS = Quantity(what="matrix products", unit="TFLOP", value=lambda step: step.work.flops / 1e12)
CYCLES = Quantity(what="estimated cycles", unit="million", value=lambda step: step.work.cycles / 1e6)
KERNELS = Quantity(what="kernels", unit="", value=lambda step: step.work.kernels)
OPERATIONS = dataclasses.replace(KERNELS, what="operations")
COMPILING = Quantity(what="compiling", unit="s", value=lambda step: step.seconds)

QUANTITIES: Mapping[str, Sequence[Quantity]] = {
    "gpu": (TEMPORARY, ARGUMENTS, TRAFFIC, PRODUCTS, KERNELS, COMPILING),
    "tpu": (TEMPORARY, ARGUMENTS, CYCLES, OPERATIONS, COMPILING),
}
"""What is told of a step, by platform."""


def variants(options: argparse.Namespace) -> dict[str, Experiment]:
    """The steps to compile, by what tells them apart: the config and the kernel; what `auto` is has been chosen.

    Raises:
      ConfigError: a config cannot be read, there is no such kernel, or it cannot compute this attention.
    """
    found = {}
    for source, experiment in recipes(options).items():
        for word in options.kernels.split(","):
            is_looped, wanted = options.loop or word.endswith(IN_LOOP), word.removesuffix(IN_LOOP)
            if wanted not in get_args(KernelChoice):
                raise ConfigError(f"--kernels has no {wanted!r}", do=f"choose of {', '.join(get_args(KernelChoice))}")
            here = model_here(with_compute(experiment.model, options.dtype, wanted))
            name = kernel.names(here) + (" in a loop" if is_looped else "")
            model = varied(here, depth=options.depth, is_unrolled=not is_looped)
            found[f"{source}, {name}" if source else name] = dataclasses.replace(experiment, model=model)
    return found


def recipes(options: argparse.Namespace) -> dict[str, Experiment]:
    """The experiments, by name: the configs that are given, or classification by a preset, which has none."""
    if options.config:
        sizes = {"batch_size": options.batch_size, "image_size": options.image_size}
        return {Path(source).name: recipe_of(source, **sizes) for source in options.config}
    size = {} if options.image_size is None else {"image_size": (options.image_size,) * 2}
    model = with_terms(dataclasses.replace(PRESETS_VIT[options.model], **size), Gaussian())
    return {"": experiment_of(model, batch_size=options.batch_size or BATCH_SIZE)}


def with_compute(model: BackboneConfig, dtype: ActivationType, wanted: KernelChoice) -> BackboneConfig:
    """Changes the activations and the kernel of a model."""
    return dataclasses.replace(model, compute=dataclasses.replace(model.compute, dtype=dtype, kernel=wanted))


def compiled(experiment: Experiment) -> Compiled:
    """Compiles a step for the devices at hand.

    Raises:
      ConfigError: the batch does not fit the devices.
      jax.errors.JaxRuntimeError: the compiler refuses, often for want of memory.
    """
    batch = noise_shapes(experiment)
    found: list[jax.stages.Compiled] = []

    def run() -> None:
        program = make_program(experiment)
        found.append(program.train_step.lower(program.abstract, batch).compile())

    jax.clear_caches()
    gc.collect()
    seconds = timing.timed(run)["wall"]
    memory = found[0].memory_analysis()
    return Compiled(
        temporary_bytes=memory.temp_size_in_bytes,
        argument_bytes=memory.argument_size_in_bytes,
        work=traffic.work_of(ahead_program.parse(found[0].as_text())),
        seconds=seconds,
    )


def compared(quantity: Quantity, steps: Mapping[str, Compiled]) -> list[Row]:
    """A row for every step beside the first; one for all where they do not differ."""
    values = {name: quantity.value(step) for name, step in steps.items()}
    first, *others = values
    if len(set(values.values())) == 1:
        name = f"all {len(values)}" if others else first
        return [Row(what=f"{quantity.what}, {name}", ours=rows.figure([values[first]], quantity.unit))]
    return [
        Row(
            what=f"{quantity.what}, {name}",
            ours=rows.figure([values[name]], quantity.unit),
            peer=rows.figure([values[first]], quantity.unit),
            ratio=rows.quotient([values[name]], [values[first]]),
        )
        for name in others
    ]


def notes_of(
    options: argparse.Namespace, target: Target, steps: Mapping[str, Compiled], *, batch_size: int
) -> list[str]:
    """What a reader must know of the figures."""
    devices = counted(len(target.devices), "device")
    changed = f", depth {options.depth}" if options.depth else ""
    changed += f", images of {options.image_size} px" if options.image_size else ""
    model = "The configs" if options.config else f"{options.model} with the Gaussian"
    notes = [
        f"Compiled by {target.compiler} for {target.name} on a machine without one: no time was measured on an "
        "accelerator.",
        f"{model}{changed}, {options.dtype}, batch {batch_size} over {devices}; "
        "figures are of one step and one device.",
    ]
    if target.platform == "gpu":
        notes.append("Memory is without the workspaces of libraries, and traffic is counted in the program.")
        notes.append("Autotuning needs the device and is off.")
    else:
        notes.append(
            "Cycles are the compiler's estimates of operations, added; all-reduce and asynchronous copies have none."
        )
    unknown = [name for name, step in steps.items() if step.work.unknown_loops]
    return notes + [f"Loops that turn an unknown number of times count once: {', '.join(unknown)}."] * bool(unknown)


def main() -> None:
    """Prints a table and writes the record; a line of text where that cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, help="h200, or TPUs such as v5e:2x2")
    parser.add_argument("--model", choices=PRESETS_VIT, default="vit_relpos_small_patch16_224", metavar="PRESET")
    parser.add_argument("--config", action="append", help="a config file, in place of a preset; may be repeated")
    parser.add_argument(
        "--batch_size", type=int, help=f"of all devices together; {BATCH_SIZE}, or as the config has it"
    )
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--kernels", default="auto,einsum,whole", help="of attention; whole:loop has blocks in a loop")
    parser.add_argument("--loop", action="store_true", help="compile all with blocks in a loop")
    parser.add_argument("--depth", type=int)
    parser.add_argument("--image_size", type=int)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    try:
        measure(options)
    except UserError as error:
        sys.exit(f"benchmarks.ahead: {error.message}; {error.do}" if error.do else f"benchmarks.ahead: {error.message}")


def measure(options: argparse.Namespace) -> None:
    """Compiles all, and tells of it.

    Raises:
      ConfigError: the options do not fit, or nothing could be compiled.
    """
    jax.config.update("jax_platforms", "cpu")
    target = target_of(options.target)
    steps: dict[str, Compiled] = {}
    with as_on(target):
        experiments = variants(options)
        for name, experiment in experiments.items():
            print(f"compiling {name} for {target.name} ...", flush=True)
            try:
                steps[name] = compiled(experiment)
            except jax.errors.JaxRuntimeError as error:
                print(f"{name} is left out: {first_line(error)}", flush=True)
    if not steps:
        raise ConfigError("nothing could be compiled", do="choose a smaller --batch_size or other --kernels")
    table = [row for quantity in QUANTITIES[target.platform] for row in compared(quantity, steps)]
    peer = next(iter(steps))
    notes = notes_of(options, target, steps, batch_size=experiments[peer].training.batch_size)
    print(f"\na step beside one with {peer}:")
    rows.show(table)
    print("\n".join(notes))
    details = {name: dataclasses.asdict(step) for name, step in steps.items()}
    rows.write(options.out, rows.record(table, ratio=f"ours / {peer}", peer=peer, notes=notes, steps=details))


if __name__ == "__main__":
    main()
