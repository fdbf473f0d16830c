"""Receptive fields of PyTorch modules equal those of torch; needs the extra `torch`."""

import pytest

pytest.importorskip("torchax", reason="needs the extra torch")

from tests.analysis.torch_fields import LIMIT, difference, examples

pytestmark = pytest.mark.full


@pytest.mark.parametrize(("place", "grid", "token"), [(0, (7, 7), (3, 3)), (1, (14, 14), (6, 6))])
def test_examples_of_the_document_have_the_gradients_of_torch(place: int, grid, token):
    field, found = difference(examples()[place])
    assert (field.grid, field.token) == (grid, token)
    assert found < LIMIT
