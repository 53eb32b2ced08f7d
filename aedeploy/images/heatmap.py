"""How large something is at every pixel, as a colour: dark where it is little, yellow where it is much.

The colours are viridis (Nathaniel J. Smith, Stéfan van der Walt and Eric Firing, 2015; given to the public domain under
CC0): equal steps look equally far apart, to colour-blind eyes and in a grey print too.
"""

from __future__ import annotations

import numpy as np

# 33 of its colours, evenly spaced; what is between them is interpolated, at most 2 levels off.
_ANCHORS = bytes.fromhex(
    "440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d "
    "2f6a8e 2c728e 297a8e 26818e 23898e 21908c 1f988b 1f9f88 21a685 28ae80 31b57b "
    "3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 d5e21a eae51a fde725"
)

_LEVELS = 256


def _table() -> np.ndarray:
    anchors = np.frombuffer(_ANCHORS, np.uint8).reshape(-1, 3)
    at = np.linspace(0, _LEVELS - 1, len(anchors))
    columns = [np.interp(np.arange(_LEVELS), at, anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(columns, axis=1)).astype(np.uint8)


#: uint8 [256, 3]: the colour of each level.
VIRIDIS = _table()


def levels(values: np.ndarray, top: float) -> np.ndarray:
    """Values [H, W] of 0 or more as uint16 [H, W, 1]: 65535 at ``top`` and above."""
    scaled = np.rint(values * np.float32(65535 / top))
    return np.minimum(scaled, 65535).astype(np.uint16)[:, :, None]


def colours(levels: np.ndarray) -> np.ndarray:
    """uint16 [H, W, 1] of :func:`levels` as uint8 [H, W, 3]."""
    picture: np.ndarray = np.take(VIRIDIS, levels[:, :, 0] >> 8, axis=0)
    return picture
