"""Where images come from.

source.py      what is asked for, and what comes back
open.py        from the name or path of --data to a source
named.py       digits, mnist, fashion-mnist, cifar10
arrays.py      images that are an array already
folder.py      a folder of image files, decoded into memory or streamed
image_set.py   images in batches, whichever way
"""
