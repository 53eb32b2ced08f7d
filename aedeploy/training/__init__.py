"""Training: from a recipe and images to a bundle.

config.py            a recipe's [training] table, and TrainConfig: all that one run needs to know
run.py               train: the whole of it, as a generator of events
events.py            what a run says on its way
validity.py          combinations that make no sense, refused by name
data/                where images come from, in memory or streamed
corruption/<name>.py what is done to the input, one file each
objectives/<name>.py the terms of the loss, one file each; objective.py adds them up
methods/<name>.py    how a batch changes the model, one file each: the hook of the loop
optimizers.py        Adam, AdamW, SGD
schedule.py          the learning rate as a function of the step
average.py           a moving average of the weights
randomness.py        every random draw as a function of seed, epoch and step
loop.py              the loop itself
distributed.py       several processes that train one model
checkpoint.py        all that a run needs to go on exactly where it stopped
history.py           a line an epoch
tensorboard.py       the same as event files
watch.py             a few held-out images, put through the model after every epoch
measure.py           the figures on held-out images
statistics.py        mean and spread of the pixels
publish.py           the bundle, written
destination.py       which folder that is
allocator.py         what the C library does with freed memory
signals.py           Ctrl-C as a wish to stop
memory.py            how much of it is free
sweep/               a variant at every point of a grid of values
"""

from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.run import train

__all__ = ["DataRequest", "TrainConfig", "train"]
