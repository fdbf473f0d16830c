"""Changes a model's position information: draws it again, zeroes it or removes it, and keeps everything else.

The paper says that position embeddings and biases were "re-initialised to random parameters"; its code does that to
some families and something else to others. Both are here, under different names:

| of the model               | `reinit`                     | `paper_code`                        | `zero`             |
|----------------------------|------------------------------|-------------------------------------|--------------------|
| absolute embedding         | truncated normal, std 0.02   | zeros (`vabsz`)                     | zeros              |
| `RelativeMlp`, "cr"        | uniform, +-1 / sqrt(fan-in)  | the same (`vreli`)                  | zeros: a bias of 0 |
| `RelativeMlp`, "swin"      | kernels truncated normal,    | all uniform, +-1 / sqrt(fan-in),    | constants with a   |
| (SwinV2)                   | std 0.02, bias 0             | as `nn.Linear` (`swin2z`)           | bias of 0          |
| `RelativeTable` (Swin)     | truncated normal, std 0.02   | std 1, cut at +-2 (`swinz`)         | zeros              |
| `RelativeTable` with prefix| zeros, where BEiT starts     | untouched: `beitz` sets an          | zeros, those of    |
| (BEiT)                     |                              | attribute that nothing reads        | the prefix as well |
| Gaussian                   | its initial values           | untouched: the code has none        | amplitude 0        |
| any other term             | its `init`                   | its `as_in_paper_code`, if any      | its `zero`         |
| rotary embedding           | its initial frequencies, if  | untouched: the code has none        | frequencies of 0;  |
|                            | they are learned             |                                     | fixed: left out    |
| Gaussians of queries       | their initial values         | untouched: the code has none        | strength 0         |

Where `reinit` says std 0.02, it is the `init_std` of the model's config. `zero` is also the code's `vrelz`.
`without_gaussian` removes the Gaussian from config and parameters and keeps the rest. Swin
transformers still have position information from windows, shifts and merging in all cases.

Source: Kim et al., BMVC 2023, section 3 and figure 4, and the `--type` switches of its reference code.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import POSITION_EMBED
from gauss_vit.position.position import without_terms
from gauss_vit.position.term import BiasTerm
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import BiasSite, LayerPart, bias_sites, layer_parts

Intervention = Literal["none", "reinit", "paper_code", "zero", "without_gaussian"]
"""Change of a model's position information; `none` keeps it."""

Config = TypeVar("Config", bound=BackboneConfig)


def intervene(config: Config, params: PyTree, name: Intervention, *, key: PRNGKeyArray) -> tuple[Config, PyTree]:
    """Changes the position information of a model as in the table above; all other parameters stay the same arrays.

    Args:
      config: Config of the backbone.
      params: Parameters of its network, a nested dict.
      name: The intervention.
      key: Random key of the parameters that are drawn again.

    Returns:
      Config and parameters of the changed model. Only `without_gaussian`, and `zero` of a rotary embedding whose
      frequencies are fixed, change the config.

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
    for index, site in enumerate(bias_sites(config)):
        changed |= _biases(site, leaves, name, key=jax.random.fold_in(bias_key, index))
    for index, part in enumerate(layer_parts(config), len(bias_sites(config))):
        changed |= _part(part, leaves, name, key=jax.random.fold_in(bias_key, index))
    if name == "zero" and not _learns_rotation(config):
        config = replace(config, position=replace(config.position, rotary=None))
    return config, unflatten_paths(leaves | changed)


def applicable(config: BackboneConfig) -> tuple[Intervention, ...]:
    """Lists the interventions that apply to a model, `none` first."""
    terms = config.position.all_terms
    has_embedding = config.position.absolute is not None
    has_stock = has_embedding or any(term.is_in_foreign_files for term in terms)
    has_learned = has_embedding or bool(terms) or bool(layer_parts(config))
    applies: dict[Intervention, bool] = {
        "none": True,
        "reinit": has_learned,
        "paper_code": has_stock,
        "zero": has_learned or config.position.rotary is not None,
        "without_gaussian": any(isinstance(term, Gaussian) for term in terms),
    }
    return tuple(name for name, fits in applies.items() if fits)


def check_applies(config: BackboneConfig, name: Intervention) -> None:
    """Checks that a model has something that an intervention could change.

    Raises:
      ConfigError: it has nothing; the message lists the interventions that apply.
    """
    fitting = applicable(config)
    if name not in fitting:
        raise ConfigError(
            f"the model has nothing that the intervention {name} could change",
            do=f"choose {' or '.join(fitting)}",
            code="INTERVENTION",
        )


def parse_interventions(text: str) -> tuple[Intervention, ...]:
    """Reads a comma-separated list of interventions.

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


def _without_gaussian(config: Config, leaves: Mapping[str, Array]) -> tuple[Config, PyTree]:
    dropped = {
        path
        for site in bias_sites(config)
        for term in site.terms
        if isinstance(term, Gaussian)
        for path in site.paths(term, site.owned(term, leaves))
    }
    kept = {path: leaf for path, leaf in leaves.items() if path not in dropped}
    return without_terms(config, Gaussian), unflatten_paths(kept)


def _embedding(
    config: BackboneConfig, leaves: Mapping[str, Array], name: Intervention, *, key: PRNGKeyArray
) -> dict[str, Array]:
    embedding = config.position.absolute
    if embedding is None:
        return {}
    old = leaves[POSITION_EMBED]
    if name != "reinit":
        return {POSITION_EMBED: jnp.zeros_like(old)}
    first = config.stages()[0]
    drawn = embedding.init(key, grid=first.grid, prefix_tokens=first.prefix_tokens, width=old.shape[-1])
    return {POSITION_EMBED: drawn}


def _biases(site: BiasSite, leaves: Mapping[str, Array], name: Intervention, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Computes the changed parameters of all terms at a site, by path."""
    changed = {}
    for index, term in enumerate(site.terms):
        old = site.owned(term, leaves)
        new = term.zero(old) if name == "zero" else _drawn(site, term, name, key=jax.random.fold_in(key, index))
        # The paper's code also draws a bias of the last layer, which a "swin" network does not have.
        changed |= site.paths(term, {parameter: new[parameter] for parameter in old if parameter in new})
    return changed


def _part(part: LayerPart, leaves: Mapping[str, Array], name: Intervention, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Computes the changed parameters of a rotary embedding or of the Gaussians of queries, by path."""
    start = f"{part.path}."
    old = {path.removeprefix(start): leaf for path, leaf in leaves.items() if path.startswith(start)}
    if name == "paper_code":
        return {}
    new = part.value.zero(old) if name == "zero" else jax.vmap(part.init)(jax.random.split(key, part.depth))
    return {f"{start}{parameter}": value for parameter, value in new.items()}


def _learns_rotation(config: BackboneConfig) -> bool:
    """Returns whether a rotary embedding has parameters, or there is none."""
    rotary = config.position.rotary
    return rotary is None or any(part.value == rotary for part in layer_parts(config))


def _drawn(site: BiasSite, term: BiasTerm, name: Intervention, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Draws the parameters of a term again; returns none if the intervention does not change it."""
    source = term if name == "reinit" else term.as_in_paper_code()
    if source is None:
        return {}
    if site.depth is None:
        return source.init(key, grid=site.grid, num_heads=site.num_heads)

    def draw(layer_key: PRNGKeyArray, place: Array) -> dict[str, Array]:
        return source.at_layer(source.init(layer_key, grid=site.grid, num_heads=site.num_heads), place)

    return jax.vmap(draw)(jax.random.split(key, site.depth), jnp.asarray(site.places, jnp.float32))
