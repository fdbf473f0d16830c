"""Vision transformers with a Gaussian attention bias: trained, measured as receptive fields, in JAX and Flax."""

__version__ = "0.1.0"
