"""What parameters were trained on: classes, their colours, pixel statistics, grids of positions and data files.

An equal number of classes or of tokens proves nothing, so this is stored with every checkpoint and compared wherever
its parameters are used again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gauss_vit.files import FileSet
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.palette import Palette


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """What parameters were trained on; every part may be unknown.

    Attributes:
      class_names: Names of the classes in the order of the head's outputs; empty if they are unknown.
      normalization: Mean and standard deviation of the pixels; None if they are unknown.
      grids: The (height, width) in patches of every position parameter, by its path in the network.
      files: Files of the data, by data set and split.
      palette: Colours of the classes; empty where classes have none, or they are unknown.
    """

    class_names: tuple[str, ...]
    normalization: Normalization | None
    grids: Mapping[str, Grid]
    files: Mapping[str, FileSet]
    palette: Palette = ()

    def changes_of_files(self, current: Mapping[str, FileSet]) -> list[str]:
        """Says of each data set and split that is known in both how its files differ now; empty if none does."""
        return [
            f"{name} has {self.files[name].difference(files)}"
            for name, files in current.items()
            if name in self.files and self.files[name] != files
        ]


UNKNOWN = TrainedOn(class_names=(), normalization=None, grids={}, files={})
"""What a record says that was written before these things were stored; one before palettes were lacks them alone."""


def from_json(content: Mapping[str, Any] | None) -> TrainedOn:
    """Builds the value from `dataclasses.asdict` in JSON; None is unknown."""
    if content is None:
        return UNKNOWN
    pixels = content["normalization"]
    return TrainedOn(
        class_names=tuple(content["class_names"]),
        normalization=None if pixels is None else Normalization(mean=tuple(pixels["mean"]), std=tuple(pixels["std"])),
        grids={path: (int(grid[0]), int(grid[1])) for path, grid in content["grids"].items()},
        files={name: FileSet(**files) for name, files in content["files"].items()},
        palette=tuple((red, green, blue) for red, green, blue in content["palette"]) if "palette" in content else (),
    )
