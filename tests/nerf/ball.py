"""A field made by hand, whose answers are known: an orange ball around the origin, in voxels, the cells far from it empty."""

import torch

from playground.core import checkpoints, scenes
from playground.nerf import voxels
from playground.nerf.config import ModelConfig

NAME = "ball"
RADIUS, RESOLUTION, BOUND = 0.7, 26, 1.3
STEP = 2 * BOUND / RESOLUTION
RGB = (0.9, 0.5, 0.1)


def save(folder, name=NAME, dataset="solids", views=100, radius=RADIUS, psnr=None):
    """Keep it in a folder of runs, as if it had been trained on the first so many views of a scene and measured."""
    field = voxels.VoxelField(ModelConfig(resolution=RESOLUTION, vertices=0))
    line = (torch.arange(RESOLUTION) + 0.5) * STEP - BOUND
    field.cells = voxels.pack_cells(torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).norm(dim=-1) < radius + 3 * STEP)
    field._index()
    inside = radius - (field.places() * STEP - BOUND).norm(dim=1)
    logit = torch.logit(torch.tensor(RGB)) / 3 / voxels.maths.SH0
    weights = {"cells": field.cells, "raw": (4 + 8 * inside / STEP).clamp(-6, 14)[:, None], "sh": torch.cat([logit, torch.zeros(9)]).expand(len(inside), 12)}
    checkpoints.save(folder / name / "checkpoint", family="nerf", dataset=dataset, model=vars(ModelConfig(resolution=RESOLUTION, vertices=len(inside))),
                     train={"dataset": dataset, "steps": 1, "seed": 0}, weights=weights, metrics={} if psnr is None else {"psnr": psnr}, command="made by a test", made={},
                     derived={"poses": scenes.around(views), "held_out": scenes.around(1, scenes.VIEWS)[0], "field_of_view": torch.tensor(scenes.FIELD_OF_VIEW)})
