"""Tolerances that follow from the arithmetic: its type and the length of its sums, not what one processor gave."""

import numpy as np
from numpy.typing import DTypeLike


def of_sums(num_terms: int, dtype: DTypeLike = np.float32) -> float:
    """Bounds the difference of two sums of the same terms in different orders, over the sum of their magnitudes.

    Each of the `num_terms - 1` additions rounds by at most half an epsilon of the sum of magnitudes, in each of the two
    sums. A product rounds like an addition, so that a chain of sums counts the terms of all of them. How processors
    group additions (vectors, fused multiply-adds, blocks) changes the difference, and not the bound.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, section 4.2.
    """
    return num_terms * float(np.finfo(dtype).eps)
