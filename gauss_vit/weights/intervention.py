"""What becomes of a model whose position information is drawn anew, zeroed or taken out, all else as it was.

The paper says that position embeddings and biases were "re-initialised to random parameters"; its code does that to
some families and other things to others. Both are here, under names of their own:

| of the model               | `reinit`                     | `paper_code`                        | `zero`             |
|----------------------------|------------------------------|-------------------------------------|--------------------|
| absolute embedding         | truncated normal, std 0.02   | zeros (`vabsz`)                     | zeros              |
| `RelativeMlp`, "cr"        | uniform, +-1 / sqrt(fan-in)  | the same (`vreli`)                  | zeros: a bias of 0 |
| `RelativeMlp`, "swin"      | kernels truncated normal,    | all uniform, +-1 / sqrt(fan-in),    | zeros: a bias of 8 |
| (SwinV2)                   | std 0.02, bias 0             | as `nn.Linear` (`swin2z`)           | everywhere         |
| `RelativeTable` (Swin)     | truncated normal, std 0.02   | std 1, cut at +-2 (`swinz`)         | zeros              |
| `RelativeTable` with prefix| zeros, where BEiT starts     | untouched: `beitz` sets an          | zeros, those of    |
| (BEiT)                     |                              | attribute that nothing reads        | the prefix as well |
| Gaussian                   | its start values             | untouched: the code has none        | amplitude 0        |

Where `reinit` says std 0.02, it is the `init_std` of the model's config. `zero` is also the code's `vrelz`. The softmax
does not see a bias that is the same everywhere. `without_gaussian` takes the Gaussian out of config and parameters and
keeps the rest. In Swin transformers windows, shifts and merging still tell positions apart, in all cases.

Source: Kim et al., BMVC 2023, section 3 and figure 4, and the `--type` switches of its reference code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.position.relative import RelativeTable
from gauss_vit.position.relative_mlp import RelativeMlp
from gauss_vit.position.term import BiasTerm
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.name_tables import ModelConfig

Intervention = Literal["none", "reinit", "paper_code", "zero", "without_gaussian"]
"""What to do to a model's position information; `none` leaves it."""

_EMBEDDING = "backbone.position_embed"
# The spread of timm's `trunc_normal_` where no other is asked for.
_SPREAD_OF_SWINZ = 1.0


@dataclass(frozen=True, kw_only=True)
class _Site:
    """Position biases of blocks of one shape.

    Attributes:
      path: of their parameters.
      terms: what is there.
      grid: on which they are tables.
      num_heads: of the attention.
      depth: number of blocks, whose parameters are stacked; None where one serves all blocks.
    """

    path: str
    terms: tuple[BiasTerm, ...]
    grid: Grid
    num_heads: int
    depth: int | None


def intervene(
    config: ModelConfig, params: PyTree, name: Intervention, *, key: PRNGKeyArray
) -> tuple[ModelConfig, PyTree]:
    """Changes the position information of a model as the table above says; all other parameters stay the same arrays.

    Args:
      config: of the model.
      params: its parameters, a nested dict.
      name: what to do.
      key: for what is drawn anew.

    Returns:
      Config and parameters of the changed model. The config is the same but for `without_gaussian`.

    Raises:
      ConfigError: the model has nothing that the intervention could change.
    """
    check_applies(config, name)
    if name == "none":
        return config, params
    leaves = flatten_paths(params)
    if name == "without_gaussian":
        return _without_gaussian(config, leaves)
    embedding_key, bias_key = jax.random.split(key)
    changed = _embedding(config, leaves, name, key=embedding_key)
    for index, site in enumerate(_sites(config)):
        changed |= _biases(site, leaves, name, key=jax.random.fold_in(bias_key, index))
    return config, unflatten_paths(leaves | changed)


def applicable(config: ModelConfig) -> tuple[Intervention, ...]:
    """Lists the interventions that make sense for a model, `none` first."""
    has_learned = _has_embedding(config) or config.relative is not None
    has_gaussian = config.gaussian is not None
    applies: dict[Intervention, bool] = {
        "none": True,
        "reinit": has_learned or has_gaussian,
        "paper_code": has_learned,
        "zero": has_learned or has_gaussian,
        "without_gaussian": has_gaussian,
    }
    return tuple(name for name, fits in applies.items() if fits)


def check_applies(config: ModelConfig, name: Intervention) -> None:
    """Refuses an intervention that a model has nothing for.

    Raises:
      ConfigError: it has not; the message says what it has something for.
    """
    fitting = applicable(config)
    if name not in fitting:
        raise ConfigError(
            f"the model has nothing that the intervention {name} could change",
            do=f"choose {' or '.join(fitting)}",
            code="INTERVENTION",
        )


def parse_interventions(text: str) -> tuple[Intervention, ...]:
    """Reads names that commas separate, each once.

    Raises:
      ConfigError: a name is unknown or comes twice.

    >>> parse_interventions("none, zero")
    ('none', 'zero')
    """
    known: dict[str, Intervention] = {name: name for name in get_args(Intervention)}
    words = [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word not in known]
    if unknown or len(set(words)) < len(words):
        wrong = f"{unknown[0]!r} is none" if unknown else f"one comes twice in {text!r}"
        raise ConfigError(f"expected interventions and {wrong}", do=f"choose from {', '.join(known)}")
    return tuple(known[word] for word in words)


def _has_embedding(config: ModelConfig) -> bool:
    return isinstance(config, ViTConfig) and config.absolute is not None


def _without_gaussian(config: ModelConfig, leaves: Mapping[str, Array]) -> tuple[ModelConfig, PyTree]:
    dropped = [f"{site.path}.{term.name}." for site in _sites(config) for term in site.terms if _is_gaussian(term)]
    kept = {path: leaf for path, leaf in leaves.items() if not path.startswith(tuple(dropped))}
    return replace(config, gaussian=None), unflatten_paths(kept)


def _is_gaussian(term: BiasTerm) -> bool:
    return isinstance(term, Gaussian)


def _embedding(
    config: ModelConfig, leaves: Mapping[str, Array], name: Intervention, *, key: PRNGKeyArray
) -> dict[str, Array]:
    if not isinstance(config, ViTConfig) or config.absolute is None:
        return {}
    if name != "reinit":
        return {_EMBEDDING: jnp.zeros_like(leaves[_EMBEDDING])}
    drawn = config.absolute.init(key, grid=config.grid, prefix_tokens=config.prefix_tokens, width=config.width)
    return {_EMBEDDING: drawn}


def _biases(site: _Site, leaves: Mapping[str, Array], name: Intervention, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Gives the new parameters of all terms at a site, by path."""
    changed = {}
    for index, term in enumerate(site.terms):
        start = f"{site.path}.{term.name}."
        old = {path.removeprefix(start): leaf for path, leaf in leaves.items() if path.startswith(start)}
        new = _zeroed(term, old) if name == "zero" else _drawn(site, term, name, key=jax.random.fold_in(key, index))
        changed |= {f"{start}{parameter}": new[parameter] for parameter in old if parameter in new}
    return changed


def _zeroed(term: BiasTerm, params: Mapping[str, Array]) -> dict[str, Array]:
    """Zeros all parameters of a term but the width of a Gaussian, which means nothing at an amplitude of 0."""
    names = ["amplitude"] if isinstance(term, Gaussian) else list(params)
    return {name: jnp.zeros_like(params[name]) for name in names}


def _drawn(site: _Site, term: BiasTerm, name: Intervention, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Draws a term anew; nothing where the intervention leaves it alone."""
    source = term if name == "reinit" else _as_in_the_papers_code(term)
    if source is None:
        return {}
    if site.depth is None:
        return source.init(key, grid=site.grid, num_heads=site.num_heads)
    draw = jax.vmap(lambda layer_key: source.init(layer_key, grid=site.grid, num_heads=site.num_heads))
    return draw(jax.random.split(key, site.depth))


def _as_in_the_papers_code(term: BiasTerm) -> BiasTerm | None:
    """Gives a term that starts as the paper's code would draw this one, or None where that code changes nothing."""
    match term:
        case RelativeMlp():
            # "cr" starts as PyTorch's linear layers do; what "swin" lacks of it, a bias, is left out.
            return replace(term, mode="cr")
        case RelativeTable(has_prefix=False):
            return replace(term, init_std=_SPREAD_OF_SWINZ)
        case _:
            return None


def _sites(config: ModelConfig) -> tuple[_Site, ...]:
    """Lists where a model has position biases."""
    match config:
        case ViTConfig():
            shared = _Site(
                path="backbone.shared_bias",
                terms=config.shared_terms,
                grid=config.grid,
                num_heads=config.num_heads,
                depth=None,
            )
            own = replace(shared, path="backbone.blocks.attention.bias", terms=config.terms, depth=config.depth)
            return shared, own
        case SwinConfig():
            return tuple(_site_of_stage(config, index) for index in range(len(config.depths)))


def _site_of_stage(config: SwinConfig, index: int) -> _Site:
    attention = config.stage(index).block.attention
    return _Site(
        path=f"backbone.stages.{index}.blocks.attention.bias",
        terms=attention.terms,
        grid=attention.grid,
        num_heads=attention.num_heads,
        depth=config.depths[index],
    )
