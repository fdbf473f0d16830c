"""Arguments of config files that define a family of experiments: `FILE.py:model=b16,bias=none`."""

from collections.abc import Mapping, Sequence

from gauss_vit.errors import ConfigError


def choose(argument: str, choices: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Reads `KEY=CHOICE,KEY=CHOICE`; an omitted key has its first choice.

    >>> choose("bias=none", {"model": ("s16", "b16"), "bias": ("gauss", "none")})
    {'model': 's16', 'bias': 'none'}

    Args:
      argument: Text after the colon; may be empty.
      choices: Choices of each key.

    Raises:
      ConfigError: a key or a choice is unknown, or a key occurs twice; the message lists all keys and choices.
    """
    pairs = [part.strip().partition("=") for part in argument.split(",") if part.strip()]
    chosen = {key: choice for key, _, choice in pairs}
    is_known = all(key in choices and choice in choices[key] for key, choice in chosen.items())
    if not is_known or len(chosen) < len(pairs):
        known = ",".join(f"{key}={'|'.join(words)}" for key, words in choices.items())
        raise ConfigError(f"the argument {argument!r} is not understood", do=f"write {known}, or a part of it")
    return {key: words[0] for key, words in choices.items()} | chosen
