"""The operations of a traced program, counted from its shapes; nothing is computed or compiled.

GPU and TPU backends report them only after compiling.
"""

import math
from collections.abc import Iterator, Sequence

import jax
from jax.extend import core
from jax.extend.core import primitives

_ARITHMETIC = frozenset(
    {
        primitives.add_p,
        primitives.add_jaxvals_p,
        primitives.sub_p,
        primitives.mul_p,
        primitives.div_p,
        primitives.neg_p,
        primitives.square_p,
        primitives.max_p,
        primitives.min_p,
        primitives.reduce_sum_p,
        primitives.reduce_max_p,
        primitives.reduce_min_p,
    }
)
"""Primitives that count as one operation for every number that they write or, in a reduction, read."""

_VENDOR_PRODUCTS = {"dot_product_attention_fwd_wrapper": 2, "dot_product_attention_bwd_wrapper": 5}
"""Number of products over all pairs of tokens in cuDNN's attention; its backward pass recomputes the logits."""


def operations(program: core.Jaxpr) -> int:
    """Counts floating-point operations on any backend; every iteration of a loop counts.

    Products, convolutions and sums count as XLA counts them before it optimises, but for the border of convolutions,
    which counts like the rest; functions such as exp and erf count nothing.
    """
    return sum(_operations_of(equation) for equation in _needed(program))


def multiply_adds(program: core.Jaxpr, is_variable: Sequence[bool] | None = None) -> int:
    """Counts the multiplications of products and convolutions whose operands both depend on the inputs.

    Papers count so: layers and attention, but neither sums over single numbers nor what interpolates a map with fixed
    weights.

    Args:
      program: Program of parameters and images.
      is_variable: Which of its inputs vary; all of them when None.
    """
    return sum(count for _, count in _counted(program, is_variable))


def multiply_adds_by_part(program: core.Jaxpr, parts: Sequence[str | None]) -> dict[str, int]:
    """Counts the same for each part of a network.

    What reads parameters counts for their part, and a product of two activations for the part that was computed last.

    Args:
      program: Program of parameters and images.
      parts: Part of the network that each input is a parameter of; None for images.

    Returns:
      Counts by part, in the order in which they are computed.
    """
    part_of = {id(each): part for each, part in zip(program.invars, parts, strict=True) if part is not None}
    counts: dict[str, int] = {}
    latest = ""
    for equation, count in _counted(program, None):
        variables = [each for each in equation.invars if isinstance(each, core.Var)]
        read = [part_of[id(each)] for each in variables if id(each) in part_of]
        latest = read[-1] if read else latest
        if read and len(read) == len(variables):
            part_of |= {id(each): latest for each in equation.outvars}
        if count:
            counts[latest] = counts.get(latest, 0) + count
    return counts


def _counted(program: core.Jaxpr, is_variable: Sequence[bool] | None) -> Iterator[tuple[core.JaxprEqn, int]]:
    """Yields the equations whose results are used with their multiply-adds, in order."""
    given = [True] * len(program.invars) if is_variable is None else is_variable
    variable = {id(each) for each, varies in zip(program.invars, given, strict=True) if varies}
    for equation in _needed(program):
        varies = [id(each) in variable for each in equation.invars]
        if any(varies):
            variable |= {id(each) for each in equation.outvars}
        yield equation, _multiply_adds_of(equation, varies)


def _needed(program: core.Jaxpr) -> list[core.JaxprEqn]:
    """Lists the equations in order, without those whose results are unused, as compilers drop them."""
    read, needed = {id(variable) for variable in program.outvars}, []
    for equation in reversed(program.eqns):
        if any(id(variable) in read for variable in equation.outvars):
            read |= {id(variable) for variable in equation.invars}
            needed.append(equation)
    return needed[::-1]


def _operations_of(equation: core.JaxprEqn) -> int:
    """Counts one equation: a loop's body as often as it runs, and of branches the one with the most operations."""
    primitive = equation.primitive
    if primitive is primitives.dot_general_p:
        return 2 * _of_product(equation)
    if primitive is primitives.conv_general_dilated_p:
        return 2 * _of_convolution(equation)
    if primitive.name in _VENDOR_PRODUCTS:
        return 2 * _VENDOR_PRODUCTS[primitive.name] * _of_pairs(equation)
    if primitive in _ARITHMETIC:
        return max(math.prod(_shape(variable)) for variable in (*equation.invars, *equation.outvars))
    return _repeated(equation, [operations(program) for program in core.jaxprs_in_params(equation.params)])


def _multiply_adds_of(equation: core.JaxprEqn, varies: Sequence[bool]) -> int:
    """Counts one equation, see `_operations_of`."""
    primitive = equation.primitive
    if primitive is primitives.dot_general_p:
        return _of_product(equation) if all(varies) else 0
    if primitive is primitives.conv_general_dilated_p:
        return _of_convolution(equation) if all(varies) else 0
    if primitive.name in _VENDOR_PRODUCTS:
        return _VENDOR_PRODUCTS[primitive.name] * _of_pairs(equation)
    programs = list(core.jaxprs_in_params(equation.params))
    return _repeated(equation, [multiply_adds(each, _entering(each, equation, varies)) for each in programs])


def _entering(program: core.Jaxpr, equation: core.JaxprEqn, varies: Sequence[bool]) -> list[bool]:
    """Returns which inputs vary of a program inside an equation, whose last inputs they are; a loop's state does."""
    number = len(program.invars)
    entering = [*[True] * max(number - len(varies), 0), *varies[max(len(varies) - number, 0) :]]
    if equation.primitive is primitives.scan_p:
        first, carried = equation.params["num_consts"], equation.params["num_carry"]
        entering[first : first + carried] = [True] * carried
    return entering


def _repeated(equation: core.JaxprEqn, inside: Sequence[int]) -> int:
    """Combines the counts of the programs inside an equation."""
    if equation.primitive is primitives.cond_p:
        return max(inside)
    return sum(inside) * (equation.params["length"] if equation.primitive is primitives.scan_p else 1)


def _of_product(equation: core.JaxprEqn) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    shape = _shape(equation.invars[0])
    return math.prod(_shape(equation.outvars[0])) * math.prod(shape[axis] for axis in summed)


def _of_convolution(equation: core.JaxprEqn) -> int:
    kernel, outputs = _shape(equation.invars[1]), equation.params["dimension_numbers"].rhs_spec[0]
    return math.prod(_shape(equation.outvars[0])) * math.prod(kernel) // kernel[outputs]


def _of_pairs(equation: core.JaxprEqn) -> int:
    """Counts one product of queries and keys, both [batch, tokens, heads, channels]."""
    query, key = (_shape(variable) for variable in equation.invars[:2])
    return math.prod(query) * key[1]


def _shape(variable: core.Var | core.Literal) -> tuple[int, ...]:
    array = variable.aval
    assert isinstance(array, jax.core.ShapedArray), "numbers are computed of numbers"
    return array.shape
