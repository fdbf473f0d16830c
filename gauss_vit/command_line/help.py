"""Texts of `--help`, generated from the table of verbs."""

import textwrap
from collections.abc import Iterable

from gauss_vit.command_line.parsing import PROGRAM, usage_line
from gauss_vit.command_line.verb import Flag, Verb, Verbs

_CONFIG_HELP = (
    ("--config=FILE[:ARGUMENT]", "Config file, .py or .json; some .py files take an argument."),
    ("--config.KEY=VALUE", "Another value for a key of the config; with --config=FILE, --help lists its keys."),
)


def program_help(verbs: Verbs, *, width: int) -> str:
    """Returns the help of the program: a list of its verbs.

    Args:
      verbs: All verbs; the first is the default.
      width: Columns of the terminal.
    """
    default = next(iter(verbs))
    more = {
        f"{PROGRAM} VERB --help": "flags of a verb",
        f"{PROGRAM} {default} --config=FILE --help": "every key of a config, explained",
        f"{PROGRAM} completion bash|zsh": "completion script for your shell",
        f"{PROGRAM} --version": "version",
    }
    column = max(map(len, more))
    return "\n".join(
        [
            f"usage: {PROGRAM} [VERB] FLAGS    (without a verb: {default})",
            "",
            *table([(name, verb.summary) for name, verb in verbs.items()], width=width),
            "",
            *(f"  {command.ljust(column)}  {text}" for command, text in more.items()),
            "",
        ]
    )


def verb_help(verb: Verb, *, width: int) -> str:
    """Returns the help of a verb: its usage and all its flags."""
    rows = [(_spelling(flag), _explanation(flag)) for flag in verb.flags]
    config = [] if verb.config == "none" else list(_CONFIG_HELP)
    usage = textwrap.wrap(usage_line(verb), width, subsequent_indent=" " * len("usage: "), break_on_hyphens=False)
    sentence = f"{verb.summary[0].upper()}{verb.summary[1:]}."
    return "\n".join([*usage, "", *textwrap.wrap(sentence, width), "", *table(config + rows, width=width), ""])


def table(rows: Iterable[tuple[str, str]], *, width: int) -> list[str]:
    """Formats names and texts in two columns; a name that is too long for its column has a separate line.

    >>> table([("--a=N", "First."), ("--a_long_name=N", "Second.")], width=40)
    ['  --a=N  First.', '  --a_long_name=N', '         Second.']
    """
    rows = list(rows)
    column = max((len(name) for name, _ in rows if len(name) <= width // 4), default=0)
    lines = []
    for name, sentence in rows:
        indent = " " * (column + 4)
        wrapped = textwrap.wrap(sentence, width, initial_indent=indent, subsequent_indent=indent)
        if len(name) <= column and wrapped:
            lines += [f"  {name.ljust(column)}  {wrapped[0].lstrip()}", *wrapped[1:]]
        else:
            lines += [f"  {name}", *wrapped]
    return lines


def _spelling(flag: Flag) -> str:
    if flag.type is bool:
        return f"--no{flag.name}" if flag.default else f"--{flag.name}"
    return f"--{flag.name}={'|'.join(flag.choices) or flag.value}"


def _explanation(flag: Flag) -> str:
    if flag.required:
        return f"{flag.help} Required{f' without --{flag.waived_by}' if flag.waived_by else ''}."
    if flag.default is None or flag.type is bool:
        return flag.help
    return f"{flag.help} Default: {flag.default if isinstance(flag.default, str) else format(flag.default, 'g')}."
