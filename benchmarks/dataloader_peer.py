"""torch's DataLoader in its own interpreter: `benchmarks.input` starts it, and asks for one pass a line.

It answers every line with the seconds of a pass over the photos, as JSON: by the clock and of the processor. `crop` is
torchvision's random resized crop (bicubic) and flip of a PIL image, `augmented` timm's transform with
rand-m9-inc1 besides (of a fixed magnitude: by a random one timm 1.0 may ask for 0 bits of a colour, which recent
Pillows refuse). Both give uint8, and load in the main process, which costs least on one core. It needs torch,
torchvision and timm.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from benchmarks import torch_peer

# Behind torch_peer, which lets them load.
from timm.data import create_transform  # isort: skip
from torchvision import transforms  # isort: skip

SIZE = 224


class Photos(torch.utils.data.Dataset):
    """Encoded photos in memory, transformed as they are asked for."""

    def __init__(self, encoded: list[bytes], transform: Callable[[Image.Image], object]):
        self._encoded, self._transform = encoded, transform

    def __len__(self) -> int:
        """How many there are."""
        return len(self._encoded)

    def __getitem__(self, index: int) -> object:
        """Decodes and transforms one."""
        return self._transform(Image.open(io.BytesIO(self._encoded[index])).convert("RGB"))


def loaders(encoded: list[bytes]) -> dict[str, torch.utils.data.DataLoader]:
    """Makes what gives all photos as one batch, for every kind."""
    crop = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
        ]
    )
    augmented = create_transform(SIZE, is_training=True, auto_augment="rand-m9-inc1", use_prefetcher=True)
    kinds = {"crop": crop, "augmented": augmented}
    return {
        kind: torch.utils.data.DataLoader(Photos(encoded, transform), batch_size=len(encoded), shuffle=True)
        for kind, transform in kinds.items()
    }


def run(photos: torch.utils.data.DataLoader) -> None:
    """Makes one pass."""
    for batch in photos:
        assert batch.dtype == torch.uint8


def main() -> None:
    """Serves measurements until its input ends."""
    torch.set_num_threads(1)
    encoded = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    passes = loaders(encoded)

    def measure(kind: str) -> dict[str, float]:
        run(passes[kind])  # Not counted: wakes memory that was idle while others had their turn.
        return torch_peer.timed(lambda: run(passes[kind]))

    torch_peer.serve(measure, packages=("timm", "pillow"))


if __name__ == "__main__":
    main()
