"""The command line: verbs and flags as values, parsing, help, completion, and what a verb is given."""
