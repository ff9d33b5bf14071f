"""Generative Playground: understand generative models by touching them."""

__version__ = "0.1.0"
