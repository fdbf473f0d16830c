"""Vision transformers as config values and Flax NNX modules."""
