"""The table of verbs and their flags. Help, completion and parsing are made from it; nothing heavy is imported."""

from types import MappingProxyType

from gauss_vit.command_line.verb import Verbs
from gauss_vit.commands.verbs import looking, material, runs

VERBS: Verbs = MappingProxyType(
    {
        verb.name: verb
        for verb in (
            runs.TRAIN,
            runs.EVALUATE,
            runs.PREDICT,
            runs.PROBE,
            looking.ERF,
            looking.COMPARE,
            looking.POSITION,
            looking.REPORT,
            looking.MOVIE,
            looking.TABLE,
            material.CONVERT,
            material.DATA,
            runs.PREFLIGHT,
            runs.STUDY,
            runs.SHOW,
            material.MODELS,
        )
    }
)
"""Every verb; the first is run where a command line begins with a flag."""
