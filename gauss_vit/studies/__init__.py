"""Studies: arms times seeds, each an ordinary run, and what can be said about their differences."""
