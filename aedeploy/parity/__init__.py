"""Proof that a graph computes what PyTorch computes. Torch-free: the reference is a runner like any other.

tolerances.py   how far apart is too far: one row a format
inputs.py       what the graphs are fed: real images and the extremes
expected.py     what PyTorch makes of it
compare.py      one output against its reference, in figures
decisions.py    indices and masks, and what follows from them
overall.py      what is judged over all calls of a graph together
check.py        every exported graph of a bundle against the eager model
crossing.py     the latents of one format, decoded by another
from_files.py   image files through the whole pipeline
verify.py       checksums and golden vectors, where the model has landed
report.py       what was found, for a program and for a file
"""
