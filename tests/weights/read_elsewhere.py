"""Reads what `tests.weights.write_elsewhere` wrote, and compares the outputs of our models with theirs.

python -m tests.weights.read_elsewhere FOLDER PYTHON    (needs JAX)

PYTHON is an interpreter with torch and safetensors, which runs the command that the refusal of a pickle advises. The
printed numbers are the largest difference of the outputs over their largest size.
"""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from gauss_vit.assembly.named_model import NamedModel, named_model
from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import Network
from tests.command_lines import invocation

DEIT, VIT = "--model=deit_tiny_distilled_patch16_224", "--model=vit_small_patch16_224"


def load(*flags: str) -> NamedModel:
    """The model of a command line."""
    return named_model(invocation(["position", "--out=O", *flags]))


def difference(found: Float[Array, "..."], wanted: np.ndarray) -> str:
    """The largest difference over the largest size, for people."""
    return f"{np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max():.1e}"


def logits(named: NamedModel, images: np.ndarray) -> Float[Array, "batch classes"]:
    """Logits of normalised images."""
    return jax.jit(nnx.merge(named.graph, named.params))(jnp.asarray(images))


def tokens(named: NamedModel, images: np.ndarray) -> Float[Array, "batch tokens channels"]:
    """Normalised tokens at the end of the backbone, the class token first."""

    def run(network: Network, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch tokens channels"]:
        features = network.backbone.features(images)
        return jnp.concatenate(
            [features.prefix, features.last.reshape(len(images), -1, features.last.shape[-1])], axis=1
        )

    return jax.jit(run)(nnx.merge(named.graph, named.params), jnp.asarray(images))


def converted(path: Path, python: str) -> Path:
    """Runs the command that the refusal of a pickle advises, and returns the file that it writes."""
    try:
        load(DEIT, f"--weights={path}")
    except CheckpointError as error:
        command = error.do.partition("run: ")[2].replace("python -c", f"{python} -c", 1)
        subprocess.run(command, shell=True, check=True)
    return path.with_suffix(".safetensors")


def main() -> None:
    """Prints a line for each file."""
    folder, python = Path(sys.argv[1]).absolute(), sys.argv[2]
    reference = np.load(folder / "reference.npz")
    images, wanted = reference["images"], reference["logits"]
    lines = {"timm's folder": difference(logits(load(DEIT, f"--weights={folder / 'timm'}"), images), wanted)}
    wrapped = load(DEIT, f"--weights={converted(folder / 'wrapped.pth', python)}")
    lines["a wrapped pickle, converted"] = difference(logits(wrapped, images), wanted)
    vit = load(VIT, f"--weights={folder / 'hugging_face'}", "--head=fresh")
    lines["Hugging Face's ViTModel"] = difference(tokens(vit, images), reference["tokens"])
    for name, error in lines.items():
        sys.stdout.write(f"{name:32} {error}\n")


if __name__ == "__main__":
    main()
