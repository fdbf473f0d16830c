"""Path rules for the mesh axis `tensor`: which axis of a parameter holds its heads, or the hidden channels of an MLP.

Layers that produce heads or hidden channels are split on their outputs, layers that consume them on their inputs, so
that attention and the MLP are computed without communication and their results are summed over the devices. All else is
whole on each device of the axis: normalisation, embeddings, heads of tasks, and position terms, whose parameters are
small and whose tables are computed everywhere.

Source: Shoeybi et al., Megatron-LM (arXiv:1909.08053), section 3.
"""

OUTPUTS, INPUTS = -1, -2
"""Axes of a kernel, counted from the end: blocks are stacked on axes before them."""

TENSOR_RULES: tuple[tuple[str, int], ...] = (
    (r"(.*\.)?attention\.query_key_value\.(kernel|bias)", OUTPUTS),
    (r"(.*\.)?attention\.(query|value)_bias", OUTPUTS),
    (r"(.*\.)?attention\.projection\.kernel", INPUTS),
    (r"(.*\.)?mlp\.fc1\.(kernel|bias)", OUTPUTS),
    (r"(.*\.)?mlp\.fc2\.kernel", INPUTS),
)
"""Pairs of a regular expression and an axis. The moments of an optimizer match as their parameters: same last keys."""
