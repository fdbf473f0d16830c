"""Completion of the command line in bash and zsh: scripts generated from the table of verbs."""

import shlex
from collections.abc import Iterator, Sequence

from gauss_vit.command_line.parsing import PROGRAM, UsageError
from gauss_vit.command_line.verb import CONFIG, Flag, Verb, Verbs

SHELLS = ("bash", "zsh")

# bash splits words at "=", zsh does not: both forms become $flag, $word (the part to complete) and $before.
# The names of models are listed once in a shell, when the first is completed.
_BASH = """\
_gauss_vit_models() {
  [ -n "$_gauss_vit_model_names" ] || _gauss_vit_model_names="$(PROGRAM models --names 2>/dev/null)"
  printf '%s' "$_gauss_vit_model_names"
}
_gauss_vit() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="" flag="" verb="DEFAULT" IFS=$' \\t\\n'
  case "${COMP_WORDS[1]}" in VERBS) verb="${COMP_WORDS[1]}" ;; esac
  if [[ "$word" == --*=* ]]; then
    flag="${word%%=*}" before="${word%%=*}=" word="${word#*=}"
  elif [ "$word" = "=" ]; then
    flag="${COMP_WORDS[COMP_CWORD-1]}" word=""
  elif [ "${COMP_WORDS[COMP_CWORD-1]}" = "=" ]; then
    flag="${COMP_WORDS[COMP_CWORD-2]}"
  fi
  COMPREPLY=()
  case "$verb $flag" in
CASES
    *" ") _gauss_vit_words ;;
  esac
  COMPREPLY=("${COMPREPLY[@]/#/$before}")
}
_gauss_vit_words() {
  local words=""
  if [ "$COMP_CWORD" = 1 ]; then words="NAMES completion --help --version"; fi
  case "$verb" in
FLAGS
  esac
  if [[ "$word" == -* ]] || [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  else
    PATHS; COMPREPLY=($(compgen -f -- "$word"))
  fi
  if [[ "${COMPREPLY[0]}" == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _gauss_vit PROGRAM
"""
_ZSH = "autoload -Uz +X compinit && compinit\nautoload -Uz +X bashcompinit && bashcompinit\n"
_PATHS = {"DIR": "-d", "FILE": "-f"}
_CONFIG_FLAG = Flag(name=CONFIG, value="FILE", help="")


def script(shell: str, verbs: Verbs) -> str:
    """Returns the script with which a shell completes verbs, flags, their choices, files and names of models.

    Args:
      shell: One of `SHELLS`; zsh uses bash's script.
      verbs: All verbs; the first is the default.
    """
    names = list(verbs)
    bash = (
        _BASH.replace("CASES", "\n".join(line for verb in verbs.values() for line in _cases(verb)))
        .replace("FLAGS", "\n".join(f'    {name}) words="$words {_flags(verb)}" ;;' for name, verb in verbs.items()))
        .replace("NAMES", " ".join(names))
        .replace("VERBS", "|".join(names))
        .replace("DEFAULT", names[0])
        .replace("PROGRAM", PROGRAM)
        # File names may contain spaces, and folders get a trailing slash.
        .replace("PATHS", "IFS=$'\\n'; compopt -o filenames 2>/dev/null")
    )
    return (_ZSH if shell == "zsh" else "") + bash


def shell_of(arguments: Sequence[str]) -> str:
    """Returns the shell that the words after `completion` name.

    Raises:
      UsageError: they are not the name of one shell.
    """
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        message = f"completion is written for {' or '.join(SHELLS)}, got {' '.join(arguments)!r}"
        raise UsageError(message, usage=f"usage: {PROGRAM} completion ({'|'.join(SHELLS)})")
    return arguments[0]


def _all_flags(verb: Verb) -> tuple[Flag, ...]:
    return verb.flags if verb.config == "none" else (_CONFIG_FLAG, *verb.flags)


def _flags(verb: Verb) -> str:
    """Returns the flags of a verb as they are typed, with "=" if they take a value."""
    words = [
        f"--{'no' * bool(flag.default)}{flag.name}" if flag.type is bool else f"--{flag.name}="
        for flag in _all_flags(verb)
    ]
    return " ".join([*words, "--help"])


def _cases(verb: Verb) -> Iterator[str]:
    """Writes a shell case for every flag of a verb whose values can be completed."""
    for flag in _all_flags(verb):
        reply = _reply(flag)
        if reply:
            yield f'    "{verb.name} --{flag.name}") {reply} ;;'


def _reply(flag: Flag) -> str:
    """Returns the command that sets COMPREPLY to the values of a flag; empty if any text is allowed."""
    if flag.value in _PATHS:
        return f"PATHS; {_reply_of(_PATHS[flag.value])}"
    if flag.value == "MODEL":
        return _reply_of('-W "$(_gauss_vit_models)"')
    return _reply_of(f"-W {shlex.quote(' '.join(flag.choices))}") if flag.choices else ""


def _reply_of(options: str) -> str:
    return f'COMPREPLY=($(compgen {options} -- "$word"))'
