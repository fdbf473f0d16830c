"""Sums over a data set are exact."""

import jax
import numpy as np

from gauss_vit.metrics.classification import ClassificationMetric
from gauss_vit.metrics.metric import Sums, to_host

LARGEST = ClassificationMetric(
    loss_sum=np.float32(1), num_top1=np.int32(2**31 - 1), num_top5=np.int32(0), num_examples=np.int32(2**31 - 1)
)


def test_counts_do_not_overflow():
    total = to_host(LARGEST).merge(to_host(LARGEST))
    assert (int(total.num_examples), int(total.num_top1)) == (2**32 - 2, 2**32 - 2)


def test_sums_are_merged_in_64_bits():
    sums = Sums()
    assert sums.compute() == {}
    for _ in range(3):
        sums.add(LARGEST)
    assert {leaf.dtype for leaf in jax.tree.leaves(sums.metric)} == {np.dtype("int64"), np.dtype("float64")}
    assert sums.compute() == LARGEST.merge(to_host(LARGEST)).merge(to_host(LARGEST)).compute()
