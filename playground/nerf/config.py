"""What can be chosen about a radiance field: which kind, its training, presets by time, knobs for the page. Imports no torch."""

import math
from dataclasses import dataclass, replace

from ..core.inputs import choice, integer, seed, within
from ..core.recipe import Knob

FIELDS = ("voxels", "mlp")   # a sparse grid with spherical harmonics; the paper's networks
RESOLUTION_MAX = 384         # cells a side: their map alone takes 226 MB


@dataclass(frozen=True)
class ModelConfig:
    """What rebuilds a field, which fills the cube [-bound, bound]^3."""

    field: str = "voxels"
    bound: float = 1.3       # world units
    resolution: int = 32     # voxels: cells a side; mlp: cells a side of the map of empty space
    vertices: int = 33**3    # voxels: of those cells that are kept
    bits: int = 32           # voxels: of a stored number: 32, or 8
    width: int = 128         # mlp: units of a layer
    depth: int = 5           # mlp: layers before the density, the position coming in again before the middle one
    coarse: int = 64         # mlp: units of a layer of the network that finds where to look
    frequencies: int = 10    # mlp: L of the position's encoding
    directions: int = 4      # mlp: L of the direction's
    samples: int = 64        # mlp: on a ray's way through the cube, for the coarse network
    fine: int = 32           # mlp: more of them where it found something

    def __post_init__(self) -> None:
        choice("field", self.field, FIELDS)
        within("bound", self.bound, 1e-3, 1e3)
        integer("resolution", self.resolution, 2, RESOLUTION_MAX)
        integer("vertices", self.vertices, 0, (RESOLUTION_MAX + 1) ** 3)
        if integer("bits", self.bits, 8, 32) != 8:
            integer("bits", self.bits, 32, 32)
        for name, (low, high) in {"width": (8, 1024), "depth": (2, 16), "coarse": (8, 1024), "frequencies": (0, 16),
                                  "directions": (0, 8), "samples": (4, 512), "fine": (0, 512)}.items():
            integer(name, getattr(self, name), low, high)


@dataclass(frozen=True)
class TrainConfig:
    dataset: str = "solids"  # a scene
    steps: int = 1_000       # optimiser updates
    batch_size: int = 2048   # rays
    lr: float = 0.1          # Adam's, at the start, of the colours; a density's is three times that, a network's a fiftieth
    size: int = 100          # pixels a side of the pictures it learns from
    views: int = 100         # of the training pictures, spread evenly; all where there are fewer
    seed: int = 0
    field: str = "voxels"
    detail: float = 1.0      # voxels: cells a pixel is wide at the end, in the middle of the scene's cube
    width: int = 64
    depth: int = 4
    coarse: int = 32
    frequencies: int = 10
    samples: int = 64
    fine: int = 32

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1, 10_000_000)
        integer("batch_size", self.batch_size, 1, 65_536)
        within("lr", self.lr, 1e-5, 10)
        integer("size", self.size, 4, 800)
        integer("views", self.views, 1, 1000)
        seed(self.seed)
        within("detail", self.detail, 0.1, 2)
        ModelConfig(field=self.field, resolution=self.resolution, width=self.width, depth=self.depth, coarse=self.coarse,
                    frequencies=self.frequencies, samples=self.samples, fine=self.fine)      # refuses what no field can be

    @property
    def resolution(self) -> int:
        """Cells a side at the end: as fine as the pictures, as far as memory goes."""
        return max(4, min(RESOLUTION_MAX, math.ceil(self.detail * self.size)))


PRESETS = {
    "10s": TrainConfig(steps=450),
    "1m": TrainConfig(steps=1_600, size=200, detail=0.81),
    "10m": TrainConfig(steps=12_000, size=200, detail=0.93),
    "shipped": TrainConfig(steps=12_000, size=200, detail=0.93),
}
NETWORK = {"field": "mlp", "steps": 18_000, "batch_size": 512, "lr": 0.05, "width": 128, "depth": 5, "coarse": 64}       # of the shipped network, beside that preset

FIRST = "nerf-lego"          # the model the tab opens on
OVERVIEW = {"seconds": "seconds_per_frame", "psnr": "psnr"}       # figure of the overview -> key in the card's metrics
VIEWS = (2, 4, 8, 16, 32, 80)            # pictures that the small models of one view have seen, alike but for that
BY_VIEWS = {views: f"nerf-lego-views-{views}" for views in VIEWS}            # views -> its model
ENCODED = {L: f"nerf-solids-mlp-{L}" for L in (0, 10)}                       # L -> the network of another view
ASIDE = (*BY_VIEWS.values(), *ENCODED.values())          # shipped, but not in the tab's list: they serve those views
DATASETS = ("solids", "lego")            # of the page's list, and its order
OWN, OWN_SIZE = "scene", 200             # a visitor's own is a scene in Blender's format, kept at so many pixels a side
WORDS = {"try": "nerf.train.try", "estimate": "nerf.train.estimate", "film": "nerf.train.film"}
KNOBS = {                    # what the page offers to turn, with the range that is safe on a public host
    "field": Knob("nerf.knob.field", choices=FIELDS),
    "size": Knob("nerf.knob.size", 16, 400),
    "batch_size": Knob("nerf.knob.batch_size", 64, 8192),
    "lr": Knob("nerf.knob.lr", 1e-4, 1),
    "views": Knob("nerf.knob.views", 2, 100),
}


def suited(preset: str, dataset: str, channels: int | None = None, images: int | None = None) -> TrainConfig:
    """The preset for a scene; how many pictures a visitor's own has does not change it, nor their channels."""
    return replace(PRESETS[preset], dataset=dataset)
