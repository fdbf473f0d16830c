"""Images with masks of their first channel, of any sizes, for the tests of dense data."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gauss_vit.batches import Mask, MaskTargets
from gauss_vit.data.examples import Example
from tests.data.samples import ListSource, encode


@dataclass(frozen=True)
class MaskSource(ListSource):
    """Examples held in memory whose masks are the red channel of their images."""

    @property
    def padding_targets(self) -> MaskTargets:
        return MaskTargets(mask=Mask(values=np.zeros((1, 1), np.uint8)))

    def __getitem__(self, index: int) -> Example:
        with Image.open(io.BytesIO(self.images[index])) as opened:
            red = np.array(opened)[:, :, 0]
        return Example(
            image=self.images[index], targets=MaskTargets(mask=Mask(values=red)), name=f"list record {index}"
        )


def mask_source(*sizes: tuple[int, int], num_values: int = 200) -> MaskSource:
    """A source of noise, an image for each size, with masks of values in 0..num_values-1."""
    rng = np.random.RandomState(0)
    return MaskSource(tuple(encode(rng.randint(0, num_values, (*size, 3), np.uint8)) for size in sizes))
