"""The tables of the paper, computed for the models and runs at hand."""
