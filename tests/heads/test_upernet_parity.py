"""UPerNet on Swin equals those of transformers and MMSegmentation on the same weights, in training too.

Compared are the maps of the stages, both logits, both losses, the input gradient of each library's own loss, and the
running averages after a step of training. `python -m tests.heads.upernet_parity` measures every case.
"""

import pytest

from tests.heads import upernet_parity


@pytest.mark.parametrize("library", upernet_parity.RECORDED)
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", ["odd", *(pytest.param(name, marks=pytest.mark.full) for name in ("tiny", "swin_t"))])
def test_model_equals_other_libraries(name, mode, library):
    for quantity, error in upernet_parity.errors(library, name, mode).items():
        # A float32 program differs by about 1e-6 of the norm from the float64 one that was recorded.
        assert error < 1e-5, quantity
