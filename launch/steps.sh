# shellcheck shell=bash
# What the launchers share; they source it. Every command of theirs is a `step`, which --dry-run prints instead.

dry_run=
if [ "${1-}" = --dry-run ]; then
  dry_run=yes
  shift
fi

# Ends with one line on standard error: what is wrong, and what to do.
fail() {
  printf '%s: %s. DO: %s\n' "$0" "$1" "$2" >&2
  exit 2
}

# Ends unless a tool is installed. A dry run needs none.
need() {
  [ -n "$dry_run" ] || type -P "$1" >/dev/null || fail "$1 is not installed" "see $2"
}

# Prints words as one would type them in a shell: in single quotes where that is needed.
quoted() {
  local word line='' quote="'" escaped="'\\''"
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_@%+=:,./-]* | '') word=$quote${word//$quote/$escaped}$quote ;;
    esac
    line=$line${line:+ }$word
  done
  printf '%s' "$line"
}

# Runs one command, or prints it in a dry run.
step() {
  if [ -n "$dry_run" ]; then
    printf '%s\n' "$(quoted "$@")"
  else
    "$@"
  fi
}

# Splits `FLAGS -- ARGUMENTS` into the arrays flags (for the cloud's tool) and arguments (for gauss-vit).
# shellcheck disable=SC2034
split_arguments() {
  flags=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    flags+=("$1")
    shift
  done
  shift || true
  arguments=("$@")
}
