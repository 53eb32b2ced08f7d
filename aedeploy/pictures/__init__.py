"""Pictures of what a model has learned, drawn by matplotlib from a bundle's exported graphs.

    from aedeploy.pictures import Subject, draw
    draw("manifold", Subject("artifacts/digits-vae-2d")).save(Path("manifold.png"))

theme.py     colours, for light and dark pages
grid.py      images in rows and columns
subject.py   a bundle, images, and what its graphs make of them
picture.py   one picture, and how it becomes a file
scatter.py   latents as points of a plane
kinds/       a file a picture; what may be chosen is declared there
draw.py      from the name of a kind to its picture

Only feature maps, filters and Jacobians need PyTorch.
"""

from aedeploy.pictures.draw import draw, picture_names
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import DARK, LIGHT, PAGE, Theme

__all__ = ["DARK", "LIGHT", "PAGE", "Picture", "Subject", "Theme", "draw", "picture_names"]
