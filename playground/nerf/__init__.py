"""The radiance field of Mildenhall et al. 2020 ("NeRF", arXiv:2003.08934), and a sparse-voxel one that trains in seconds."""
