"""The command line: verbs and flags as values, parsing, help, completion, and invocation of a verb."""
