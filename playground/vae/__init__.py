"""Variational autoencoder: Kingma & Welling 2014 (arXiv:1312.6114), chapter 2 of the notes."""
