"""Generative adversarial network: Goodfellow et al. 2014 (arXiv:1406.2661), chapter 3 of the notes."""
