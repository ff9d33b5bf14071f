"""Diffusion models (Ho et al. 2020): noise a picture step by step, learn to take each step back, and steer it by a class."""
