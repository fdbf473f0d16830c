"""The text of a compiled program as values: computations, their instructions, and the arrays of these."""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_HEAD = re.compile(r"(ENTRY )?%?([\w.\-]+) .*\{$")
_LINE = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_OPERAND = re.compile(r"%([\w.\-]+)")
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,<=]*)\]")
_BRACKET = re.compile(r"[()]")
_BITS = re.compile(r"[a-z]+(\d+)")


@dataclass(frozen=True, kw_only=True)
class Array:
    """An array of a program.

    Attributes:
      dtype: as the compiler writes it, such as "bf16" or "pred".
      sizes: of its axes.
    """

    dtype: str
    sizes: tuple[int, ...]

    @property
    def num_elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.sizes)

    @property
    def num_bytes(self) -> int:
        """What it weighs without padding; nothing for tokens."""
        bits = _BITS.match(self.dtype)
        return self.num_elements * (int(bits[1]) if bits else 8 * (self.dtype == "pred")) // 8


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """A line of a computation.

    Attributes:
      name: what other lines of the computation call it.
      shape: its result as text, an array or a tuple.
      opcode: what it does.
      operands: names of its operands.
      arguments: the text between its brackets.
      attributes: the text after them.
      is_root: whether it is the result of the computation.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    arguments: str
    attributes: str
    is_root: bool

    @functools.cached_property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays of its result, those of tuples one after the other."""
        return arrays_of(self.shape)

    @property
    def num_bytes(self) -> int:
        """What its result weighs."""
        return sum(array.num_bytes for array in self.arrays)

    @property
    def num_elements(self) -> int:
        """How many numbers its result holds."""
        return sum(array.num_elements for array in self.arrays)

    def attribute(self, pattern: str) -> str | None:
        """Finds the first group of a pattern among its attributes."""
        found = re.search(pattern, self.attributes)
        return found[1] if found else None

    @property
    def called(self) -> str | None:
        """The computation that it runs, unless it is a loop or a branch."""
        return self.attribute(r"\b(?:calls|to_apply)=%?([\w.\-]+)")


@dataclass(frozen=True, kw_only=True)
class Computation:
    """A function of a program.

    Attributes:
      instructions: by name, in the order in which they run.
    """

    instructions: Mapping[str, Instruction]

    @functools.cached_property
    def root(self) -> Instruction:
        """Its result."""
        return next(each for each in self.instructions.values() if each.is_root)

    @functools.cached_property
    def parameters(self) -> Mapping[int, Instruction]:
        """Its parameters by their numbers."""
        lines = (each for each in self.instructions.values() if each.opcode == "parameter")
        return {int(each.arguments): each for each in lines}

    @functools.cached_property
    def users(self) -> Mapping[str, list[Instruction]]:
        """The lines that read every line."""
        found: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for each in self.instructions.values():
            for name in dict.fromkeys(each.operands):
                found[name].append(each)
        return found

    def operand(self, instruction: Instruction, position: int) -> Instruction:
        """Gives an operand of a line."""
        return self.instructions[instruction.operands[position]]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled program.

    Attributes:
      computations: by name.
      entry: the name of the one that starts.
    """

    computations: Mapping[str, Computation]
    entry: str


def parse(text: str) -> Program:
    """Reads the text of a compiled program, as `jax.stages.Compiled.as_text` gives it.

    Raises:
      ValueError: it has no entry.
    """
    computations: dict[str, Computation] = {}
    entry, lines = None, None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            lines = {}
            computations[head[2]] = Computation(instructions=lines)
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            lines = None
        elif lines is not None and (found := _instruction(line)):
            lines[found.name] = found
    if entry is None:
        raise ValueError("this is not the text of a compiled program: no computation is its entry")
    return Program(computations=computations, entry=entry)


def _instruction(line: str) -> Instruction | None:
    """Reads a line."""
    matched = _LINE.match(line)
    if not matched:
        return None
    rest = matched[3]
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    opcode = _OPCODE.match(rest, end)
    if not opcode:
        return None
    closing = _closing(rest, opcode.end() - 1)
    arguments = rest[opcode.end() : closing]
    return Instruction(
        name=matched[2],
        shape=rest[:end],
        opcode=opcode[1],
        operands=tuple(_OPERAND.findall(arguments)),
        arguments=arguments,
        attributes=rest[closing + 1 :],
        is_root=matched[1] is not None,
    )


def arrays_of(shape: str) -> tuple[Array, ...]:
    """Reads the arrays of a shape.

    >>> arrays_of("(bf16[2,3]{1,0:T(8,128)(2,1)}, token[])")[0]
    Array(dtype='bf16', sizes=(2, 3))
    """
    found = _ARRAY.findall(shape)
    return tuple(Array(dtype=dtype, sizes=integers(sizes)) for dtype, sizes in found)


def elements_of(shape: str) -> Sequence[str]:
    """Splits the shape of a tuple.

    >>> elements_of("((f32[2]{0:T(8,128)}, f32[3]), s8[4])")
    ['(f32[2]{0:T(8,128)}, f32[3])', ' s8[4]']
    """
    found, depth = [""], 0
    for character in shape[1:-1]:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return found


def integers(text: str) -> tuple[int, ...]:
    """Reads a list of integers.

    >>> integers('"0", "2"'), integers("")
    ((0, 2), ())
    """
    return tuple(int(digits) for digits in re.findall(r"\d+", text))


def _closing(text: str, start: int) -> int:
    """Finds the bracket that closes the one at a place; the end of the text where a constant's text hides it."""
    depth = 0
    for bracket in _BRACKET.finditer(text, start):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return bracket.start()
    return len(text)
