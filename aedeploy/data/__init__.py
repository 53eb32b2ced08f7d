"""Data, without torch: the digits that come with aedeploy, and the reading of array files.

digits.py   10,000 handwritten digits, embedded: the offline default
idx.py      MNIST's own file format, alone or as a folder
cifar.py    CIFAR-10's own files
npz.py      images in a NumPy archive
named.py    the data sets that have a name
labels.py   what the images of all of these show, where it is known
split.py    which images are held out
digest.py   what identifies images
known.py    which of the digits a model was trained on
"""

from aedeploy.data.digits import digits
from aedeploy.data.split import Split

#: What ``--data`` knows by name, and a line on each. Anything else is a path.
DATA_SETS = {
    "digits": "10,000 handwritten digits, 28×28 grey, embedded: needs no network (MNIST's test images)",
    "mnist": "70,000 handwritten digits, 28×28 grey: downloaded, or from --data-root",
    "fashion-mnist": "70,000 pieces of clothing, 28×28 grey: downloaded, or from --data-root",
    "cifar10": "60,000 photographs of ten kinds of things, 32×32 colour: downloaded, or from --data-root",
}

__all__ = ["DATA_SETS", "Split", "digits"]
