"""timm's training in its own interpreter: `benchmarks.train` starts it, and asks for one measurement a line.

It answers every line, such as `eager float32` or `compiled bfloat16`, with the seconds of so many steps, as JSON: by
the clock and of the processor. The model is made, and compiled, at the first line that asks for it, outside of the
time. `gaussian` is eager with a Gaussian bias added to the relative one in every block as the paper's authors build
theirs: one slice of a lattice a query. `plain` is `torch.compile` of another model, without a bias, such as
`vit_small_patch16_224`, whose attention is the vendor's fastest. It needs torch, torchvision and timm.

Parameters are float32 and `bfloat16` is autocast, as it is here; the images are normalised already.
"""

import sys
from collections.abc import Callable

import torch

from benchmarks import torch_peer
from benchmarks.torch_peer import DEVICE

# Behind torch_peer, which lets it load.
import timm  # isort: skip


class GaussianBesides(torch.nn.Module):
    """A relative position bias plus a Gaussian, under the interface of the former."""

    def __init__(self, relative: torch.nn.Module, side: int):
        super().__init__()
        self.relative, self.side = relative, side
        self.amplitude = torch.nn.Parameter(torch.tensor(2.0))
        self.sigma = torch.nn.Parameter(torch.tensor(5.0))

    def get_bias(self) -> torch.Tensor:
        """Computes [1, heads, tokens, tokens]."""
        side = self.side
        offset = torch.arange(1 - side, side, device=self.sigma.device)
        distance = offset[:, None] ** 2 + offset[None, :] ** 2
        lattice = self.amplitude**2 * torch.exp(-distance / (2 * self.sigma**2))
        rows = [
            lattice[side - 1 - y : 2 * side - 1 - y, side - 1 - x : 2 * side - 1 - x].reshape(1, -1)
            for y in range(side)
            for x in range(side)
        ]
        return self.relative.get_bias() + torch.cat(rows)


def build(kind: str, name: str, depth: int) -> torch.nn.Module:
    """Makes the model in training mode."""
    model = timm.create_model(name, depth=depth).train()
    if kind == "gaussian":
        side = model.patch_embed.grid_size[0]
        for block in model.blocks:
            block.attn.rel_pos = GaussianBesides(block.attn.rel_pos, side)
    return model


def trainer(case: str, name: str, *, depth: int, batch_size: int, num_steps: int) -> Callable[[], None]:
    """Makes a function that takes so many steps."""
    kind, dtype = case.split()
    model = build(kind, name, depth).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    images = torch.randn(batch_size, 3, 224, 224, device=DEVICE)
    labels = torch.randint(0, 1000, (batch_size,), device=DEVICE)
    forward = torch.compile(model) if kind in ("compiled", "plain") else model

    def run() -> None:
        for _ in range(num_steps):
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=dtype == "bfloat16"):
                logits = forward(images)
            torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def main() -> None:
    """Serves measurements until its input ends."""
    name, plain, (depth, batch_size, num_steps, num_threads) = sys.argv[1], sys.argv[2], map(int, sys.argv[3:])
    torch.set_num_threads(num_threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    runs: dict[str, Callable[[], None]] = {}

    def measure(case: str) -> dict[str, float]:
        if case not in runs:
            chosen = plain if case.startswith("plain ") else name
            runs[case] = trainer(case, chosen, depth=depth, batch_size=batch_size, num_steps=num_steps)
        # Not counted: compiles at first, and wakes memory that was idle while others had their turn.
        runs[case]()
        return torch_peer.timed(runs[case])

    torch_peer.serve(measure, packages=("timm",))


if __name__ == "__main__":
    main()
