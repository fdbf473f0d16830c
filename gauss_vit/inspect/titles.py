"""Titles of figures: which run at which step, and what model it is."""

from collections.abc import Sequence
from pathlib import Path

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.quantities import counted


def shortest_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names files or folders, with as many of the folders above as tell all of them apart; empty if nothing does.

    >>> shortest_names([Path("runs/a/erf"), Path("runs/b/erf")])
    ('a/erf', 'b/erf')
    """
    whole = [path.absolute().parts for path in paths]
    if len(set(whole)) < len(whole):
        return ("",) * len(whole)
    lengths = range(1, max(map(len, whole), default=1) + 1)
    candidates = (tuple("/".join(parts[-length:]) for parts in whole) for length in lengths)
    return next(names for names in candidates if len(set(names)) == len(names))


def short_title(named: NamedModel) -> str:
    """Names a model on one line: a run with its step, a preset by its name alone."""
    return f"{named.name}, step {named.step:,}" if named.step else named.name


def title_of(named: NamedModel, *, part: str = "") -> str:
    """Names a model, and a part of it such as a stage, on the first line and describes it on the second."""
    return f"{', '.join(word for word in (short_title(named), part) if word)}\n{description(named.config)}"


def description(config: BackboneConfig) -> str:
    """Describes a backbone in a few words: kind, number of layers, and its position information as a config names it.

    >>> from gauss_vit.models.presets import PRESETS
    >>> description(PRESETS["vit_relpos_small_patch16_224"])
    'ViT, 12 layers, RelativeMlp'
    """
    position = config.position
    others = position.absolute, position.rotary, position.query_gaussian
    known = [*position.all_terms, *(each for each in others if each is not None)]
    kind = type(config).__name__.removesuffix("Config")
    layers = counted(config.depth, "layer")
    return ", ".join([kind, layers, " + ".join(type(each).__name__ for each in known) or "no position information"])
