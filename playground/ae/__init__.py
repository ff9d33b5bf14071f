"""Autoencoders: deep (Hinton & Salakhutdinov 2006), sparse, contractive (Rifai et al. 2011) and denoising (Vincent et al. 2008)."""
