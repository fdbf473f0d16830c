"""Counts what a compiled program does: kernels, the memory that they read and write, operations of matrix products.

Convolutions count as the products that they are.

Every kernel of a GPU program reads its operands from memory and writes its results there, each byte once: what a kernel
reads again, in tiles of a product or blocks of attention, is taken to come from a cache, and what the next kernel finds
in a cache is counted as read from memory. Of an operand of which a fusion takes only slices, these count; an update of
a slice in place counts as the slice. A loop counts as many times as it turns. The workspaces of libraries do not count.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.ahead_program import Array, Computation, Instruction, Program, arrays_of, elements_of, integers

_FREE = frozenset(
    (
        *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "add-dependency"),
        *("opt-barrier", "partition-id", "replica-id", "domain"),
    )
)
_SAME_ELEMENTS = frozenset(("bitcast", "reshape", "transpose", "copy", "convert", "reverse"))
_SLICES = frozenset(("slice", "dynamic-slice", "gather"))
_UPDATE = "dynamic-update-slice"
_CONVOLUTIONS: Mapping[str, tuple[int, int]] = {
    "__cudnn$convForward": (0, 2),
    "__cudnn$convBackwardInput": (1, 2),
    "__cudnn$convBackwardFilter": (2, 0),
}
"""Where a call of cuDNN has the outputs, or their gradient, and the filters: 0 is its result, 1 and 2 are operands."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a program, or a part of it, does.

    Attributes:
      kernels: operations that run one after the other; a call of a library is one, though it may start several kernels.
      read_bytes: what they read from memory.
      written_bytes: what they write there.
      flops: operations of matrix products and convolutions, a multiplication and an addition being two.
      cycles: the compiler's own estimate, which it gives for TPUs; that of all operations one after the other.
      unknown_loops: loops of which one turn is counted, as their number of turns is not to be found.
    """

    kernels: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    flops: int = 0
    cycles: int = 0
    unknown_loops: int = 0

    @property
    def traffic_bytes(self) -> int:
        """What is read and written."""
        return self.read_bytes + self.written_bytes

    def plus(self, other: "Work") -> "Work":
        """Adds other work."""
        fields = dataclasses.fields(self)
        return Work(**{field.name: vars(self)[field.name] + vars(other)[field.name] for field in fields})

    def times(self, trips: int) -> "Work":
        """Repeats it."""
        return Work(**{name: value * trips for name, value in vars(self).items()})


def work_of(program: Program) -> Work:
    """Counts the work of a program."""
    return _work(program, program.entry)


def _work(program: Program, name: str) -> Work:
    """Counts the work of a computation."""
    total = Work()
    for instruction in program.computations[name].instructions.values():
        total = total.plus(_step(program, program.computations[name], instruction))
    return total


def _step(program: Program, computation: Computation, instruction: Instruction) -> Work:
    """Counts the work of an instruction with all that it calls."""
    opcode, own = instruction.opcode, Work(cycles=int(instruction.attribute(r'"estimated_cycles":"(\d+)"') or 0))
    if opcode in _FREE or opcode.endswith(("-done", "-update")):
        return own
    if opcode == "while":
        trips, body = _trips(program, instruction), _work(program, instruction.attribute(r"body=%?([\w.\-]+)"))
        return own.plus(Work(unknown_loops=1).plus(body) if trips is None else body.times(trips))
    if opcode == "conditional":
        return own.plus(max((_work(program, name) for name in _branches(instruction)), key=lambda w: w.traffic_bytes))
    if opcode in ("call", "async-start"):
        return own.plus(_work(program, instruction.called))
    kernel = Work(
        kernels=1,
        read_bytes=_read(program, computation, instruction),
        written_bytes=_written(program, computation, instruction),
        flops=_flops(program, computation, instruction),
    )
    return own.plus(kernel)


def _trips(program: Program, loop: Instruction) -> int | None:
    """Finds how often a loop turns: as the compiler says, or where it counts from 0 to a constant."""
    known = loop.attribute(r'"known_trip_count":\{"n":"(\d+)"')
    if known:
        return int(known)
    condition = program.computations[loop.attribute(r"condition=%?([\w.\-]+)")]
    limits = [each for each in condition.instructions.values() if each.opcode == "constant" and each.shape[0] in "su"]
    counts = condition.root.opcode == "compare" and condition.root.attribute(r"direction=(\w+)") == "LT"
    return int(limits[0].arguments) if counts and len(limits) == 1 else None


def _branches(instruction: Instruction) -> list[str]:
    """Names the computations of which one runs."""
    listed = instruction.attribute(r"branch_computations=\{([^}]*)\}")
    if listed:
        return [name.strip().removeprefix("%") for name in listed.split(",")]
    named = (instruction.attribute(rf"{word}_computation=%?([\w.\-]+)") for word in ("true", "false"))
    return [name for name in named if name]


def _read(program: Program, computation: Computation, kernel: Instruction) -> int:
    """Counts the bytes that a kernel reads."""
    return sum(
        _used(program, computation, kernel, name)
        * computation.instructions[name].num_bytes
        // max(1, computation.instructions[name].num_elements)
        for name in dict.fromkeys(kernel.operands)
    )


def _used(program: Program, computation: Computation, user: Instruction, name: str) -> int:
    """Counts the elements of a line that one of its users reads, which updates slices in place."""
    whole = computation.instructions[name].num_elements
    positions = [place for place, operand in enumerate(user.operands) if operand == name]
    if user.opcode == "fusion" and user.called:
        called = program.computations[user.called]
        return min(whole, sum(_taken(program, called, called.parameters[place].name) for place in positions))
    if positions == [0] and user.opcode in _SLICES:
        return min(whole, user.num_elements)
    return 0 if positions == [0] and user.opcode == _UPDATE else whole


def _taken(program: Program, fused: Computation, name: str) -> int:
    """Counts the elements of a line of a fusion that it needs."""
    line = fused.instructions[name]
    if line.is_root:
        return line.num_elements
    needed = 0
    for user in fused.users[name]:
        if user.opcode in _SAME_ELEMENTS and user.num_elements == line.num_elements:
            needed += _taken(program, fused, user.name)
        elif user.opcode == _UPDATE and not _is_in_place(fused, user):
            needed += line.num_elements
        else:
            needed += _used(program, fused, user, name)
    return needed


def _written(program: Program, computation: Computation, kernel: Instruction) -> int:
    """Counts the bytes that a kernel writes."""
    if kernel.opcode == _UPDATE:
        return computation.operand(kernel, 1).num_bytes
    if kernel.opcode == "fusion" and kernel.called:
        fused = program.computations[kernel.called]
        return sum(_written_leaf(fused, leaf) for leaf in _leaves(fused))
    if kernel.opcode == "custom-call":
        return sum(array.num_bytes for array in _without_workspace(kernel))
    if kernel.opcode.endswith("-start") and kernel.shape.startswith("(") and kernel.opcode != "all-reduce-start":
        # Operands, result, context; of a copy result and operand, which weigh the same.
        return sum(array.num_bytes for array in arrays_of(elements_of(kernel.shape)[1]))
    return kernel.num_bytes


def _leaves(fused: Computation) -> list[Instruction]:
    """The results of a fusion."""
    if fused.root.opcode != "tuple":
        return [fused.root]
    return [fused.instructions[name] for name in fused.root.operands]


def _written_leaf(fused: Computation, leaf: Instruction) -> int:
    """Counts the bytes that a result of a fusion writes."""
    update = _update_behind(fused, leaf)
    return leaf.num_bytes if update is None else fused.operand(update, 1).num_bytes


def _update_behind(fused: Computation, leaf: Instruction) -> Instruction | None:
    """Finds the update of a slice of a parameter that a result is, if it is one."""
    update = _behind_bitcasts(fused, leaf)
    if update.opcode != _UPDATE:
        return None
    return update if _behind_bitcasts(fused, fused.operand(update, 0)).opcode == "parameter" else None


def _behind_bitcasts(fused: Computation, line: Instruction) -> Instruction:
    while line.opcode == "bitcast":
        line = fused.operand(line, 0)
    return line


def _is_in_place(fused: Computation, update: Instruction) -> bool:
    """Says whether an update in a fusion writes its slice alone: it is a result, and of a parameter."""
    return any(_update_behind(fused, leaf) is update for leaf in _leaves(fused))


def _without_workspace(kernel: Instruction) -> tuple[Array, ...]:
    """The results of a library's call; the bytes that come last are its workspace."""
    has_workspace = len(kernel.arrays) > 1 and kernel.arrays[-1].dtype in ("s8", "u8")
    return kernel.arrays[:-1] if has_workspace else kernel.arrays


def _flops(program: Program, computation: Computation, kernel: Instruction) -> int:
    """Counts the operations of the matrix products of a kernel."""
    if kernel.opcode == "fusion" and kernel.called:
        fused = program.computations[kernel.called]
        return sum(_flops(program, fused, line) for line in fused.instructions.values())
    if kernel.opcode == "dot":
        return _product_flops(computation, kernel, kernel.attribute(r"lhs_contracting_dims=\{([\d,]*)\}"))
    target = kernel.attribute(r'custom_call_target="([^"]*)"') or ""
    if target.startswith("__cublas"):
        contracted = kernel.attribute(r'"lhs_contracting_dimensions":\s*\[([^\]]*)\]')
        return _product_flops(computation, kernel, contracted)
    if target in _CONVOLUTIONS:
        return _convolution_flops(computation, kernel, target)
    return _attention_flops(computation, kernel, target) if target.startswith("__cudnn$fmha") else 0


def _product_flops(computation: Computation, product: Instruction, contracted: str | None) -> int:
    """Counts two operations for every element of the result and every one that is summed over."""
    sizes = computation.operand(product, 0).arrays[0].sizes
    return 2 * product.arrays[0].num_elements * math.prod(sizes[axis] for axis in integers(contracted or ""))


def _convolution_flops(computation: Computation, kernel: Instruction, target: str) -> int:
    """Counts two operations for every element of the outputs, or of their gradient, and every weight of its channel."""
    arrays = [kernel.arrays[0], *(computation.operand(kernel, position).arrays[0] for position in range(2))]
    outputs, filters = (arrays[position] for position in _CONVOLUTIONS[target])
    labels = kernel.attribute(r"dim_labels=\w+_(\w+)->") or ""
    return 2 * outputs.num_elements * filters.num_elements // filters.sizes[labels.index("o")]


def _attention_flops(computation: Computation, kernel: Instruction, target: str) -> int:
    """Counts the products of cuDNN's attention: two forward, five backward, the logits computed again among them."""
    logits = kernel.attribute(r'"intermediate_tensor_shape":\s*\{[^\[\]]*"dimensions":\s*\[([^\]]*)\]')
    channels = computation.operand(kernel, 0).arrays[0].sizes[-1]
    products = 5 if "Backward" in target else 2
    return 2 * products * channels * math.prod(integers(logits or "0"))
