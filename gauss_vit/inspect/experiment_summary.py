"""What an experiment would train: its parameters, how they are sharded, FLOPs and memory; computed without data."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from jax.sharding import AbstractMesh, PartitionSpec
from jaxtyping import PyTree

from gauss_vit.assembly.model_flops import model_flops
from gauss_vit.command_line.table import aligned
from gauss_vit.experiment import Experiment
from gauss_vit.kernels.choice import describe
from gauss_vit.models.stage import Stage
from gauss_vit.ops.placement import TENSOR
from gauss_vit.ops.windows import WindowLayout
from gauss_vit.train import cost, mesh
from gauss_vit.train.optim import optimizer
from gauss_vit.train.prefetch import AHEAD
from gauss_vit.train.state import abstract_model, abstract_state
from gauss_vit.tree import flatten_paths


def parameter_table(shown: Experiment, devices: AbstractMesh) -> list[str]:
    """Returns one line for each array: path, shape, count, whether it is decayed, and how it is sharded, and totals."""
    model = abstract_model(shown.network.make)
    leaves, statistics = flatten_paths(model.params), set(model.statistics)
    decayed = flatten_paths(optimizer.decay_mask(shown.optimizer, model.params, undecayed=model.undecayed))
    shardings = flatten_paths(mesh.tree_shardings(devices, model.params, whole_below=shown.mesh.whole_below))
    rows = [
        (
            path,
            _shape(leaf.shape),
            f"{leaf.size:,}",
            "-" if path in statistics else "yes" if decayed[path] else "no",
            _split(shardings[path].spec),
        )
        for path, leaf in leaves.items()
    ]
    followed = sum(leaves[path].size for path in statistics)
    total = sum(leaf.size for leaf in leaves.values()) - followed
    sums = [("running statistics", "", f"{followed:,}", "", "")] if statistics else []
    header = ("parameter", "shape", "count", "decay", "split over")
    return align([header, *rows, *sums, ("total", "", f"{total:,}", "", "")])


def cost_lines(shown: Experiment, devices: AbstractMesh) -> list[str]:
    """Returns lines with the FLOPs of an image and of a step, the attention kernels, and the memory of one device."""
    flops = model_flops(shown)
    batch = shown.training.batch_size
    memory = device_memory(shown, devices)
    return [
        f"FLOPs of an image: {flops.forward:.4g} forward, {flops.backward:.4g} forward and backward",
        f"FLOPs of a step of {batch} images: {flops.backward * batch:.4g}",
        f"multiply-adds of an image, as papers count: {sum(flops.multiply_adds.values()):.4g}",
        *part_lines(shown, flops.multiply_adds),
        *kernel_lines(shown),
        f"memory of one of {devices.size} devices:",
        *align([(f"  {name}", megabytes(size)) for name, size in [*memory.items(), ("total", sum(memory.values()))]]),
    ]


def part_lines(shown: Experiment, multiply_adds: Mapping[str, float]) -> list[str]:
    """Returns a line with the parameters and the multiply-adds of each part of the network, in the order of the latter.

    Running statistics are not counted.
    """
    model = abstract_model(shown.network.make)
    sizes: Counter[str] = Counter()
    for path, leaf in flatten_paths(model.params).items():
        sizes[cost.part_of(path)] += 0 if path in model.statistics else leaf.size
    rows = [("  part", "parameters", "multiply-adds")]
    for part in dict.fromkeys([*multiply_adds, *sizes]):
        rows.append((f"  {part}", f"{sizes[part]:,}", _large(multiply_adds.get(part, 0))))
    return aligned(rows, ("left", "right", "right"))


def kernel_lines(shown: Experiment) -> list[str]:
    """Names the attention kernel of training, in one line or in one for each stage and shift if they differ."""
    model = shown.model
    shapes = {
        _stage_name(index, layout, stages=model.stages()): stage.attention.shape(has_mask=layout.mask is not None)
        for index, stage in enumerate(model.stages())
        if stage.attention is not None
        for layout in stage.layouts(stage.grid)
    }
    return [f"attention{name}: {describe(shape, model.compute.kernel)}" for name, shape in shapes.items()]


def _stage_name(index: int, layout: WindowLayout, *, stages: Sequence[Stage]) -> str:
    """Tells the stage and whether its windows are shifted, where there are several."""
    if len(stages) == 1:
        return ""
    return f", stage {index + 1}{', shifted' if layout.mask is not None else ''}"


def device_memory(shown: Experiment, devices: AbstractMesh) -> dict[str, int]:
    """Returns the memory of one device in a training step, in bytes, by purpose."""
    model = abstract_model(shown.network.make)
    params, training = model.params, shown.training
    transform = optimizer.make(
        shown.optimizer, params, training.total_steps, undecayed=model.undecayed, statistics=model.statistics
    )
    state = abstract_state(params, transform)
    size, local_batch = shown.model.image_size, training.batch_size // mesh.num_batch_shards(devices)

    def on_device(tree: PyTree) -> int:
        shardings = mesh.tree_shardings(devices, tree, whole_below=shown.mesh.whole_below)
        return cost.device_bytes(tree, shardings)

    # What is split by heads or hidden channels is counted whole.
    activations = "activations" if devices.shape[TENSOR] == 1 else "activations, at most"
    return {
        "parameters": on_device(params),
        "gradients": on_device(params),
        "optimizer state": on_device(state.opt_state),
        **({} if training.ema_decay is None else {"moving average": on_device(params)}),
        activations: cost.activation_bytes(model, size, batch_size=local_batch // training.accumulate),
        "images (uint8)": math.prod((*size, 3)) * local_batch * (1 + AHEAD),
    }


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pads the cells of a table to columns.

    >>> align([("a", "bb"), ("ccc", "d")])
    ['a    bb', 'ccc  d']
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def megabytes(size: int) -> str:
    """Formats a number of bytes in units of 10^6.

    >>> megabytes(1_500_000)
    '1.50 MB'
    """
    return f"{size / 1e6:,.2f} MB"


def _large(count: float) -> str:
    """Formats a number of operations in units of 10^9 or, if there are fewer, of 10^6.

    >>> _large(187.6e9), _large(1.25e6)
    ('187.6 G', '1.2 M')
    """
    return f"{count / 1e9:,.1f} G" if count >= 1e9 else f"{count / 1e6:,.1f} M"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "scalar"


def _split(spec: PartitionSpec) -> str:
    axes = [f"{axis} (axis {place})" for place, axis in enumerate(spec) if axis is not None]
    return ", ".join(axes) or "-"
