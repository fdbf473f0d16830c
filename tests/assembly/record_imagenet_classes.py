"""Writes gauss_vit/assembly/imagenet_classes.txt: the classes of ImageNet-1K in their order.

Run it where torchvision 0.28 and timm 1.0.31 are installed (their files are read as text):
python -m tests.assembly.record_imagenet_classes
"""

import ast
import importlib.util
from pathlib import Path

TABLE = Path(__file__).parents[2] / "gauss_vit" / "assembly" / "imagenet_classes.txt"
HEAD = """\
# The classes of ImageNet-1K in the order of their indices: WordNet's name of the synset, and the name that is shown.
# The latter is the first lemma of WordNet 3.0 (Copyright 2006 by Princeton University, WordNet 3.0 license), with two
# that would occur twice told apart, as torchvision lists them (BSD-3-Clause). The synsets are timm's (Apache-2.0).
"""


def package(name: str) -> Path:
    """Finds the folder of a package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    return Path(spec.origin).parent


def main() -> None:
    """Writes the list."""
    synsets = (package("timm") / "data" / "_info" / "imagenet_synsets.txt").read_text().split()
    module = ast.parse((package("torchvision") / "models" / "_meta.py").read_text())
    names = next(
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_IMAGENET_CATEGORIES"
    )
    lines = [f"{synset} {name}\n" for synset, name in zip(synsets, names, strict=True)]
    TABLE.write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
