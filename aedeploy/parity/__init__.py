"""Proof that a graph computes what PyTorch computes. Torch-free: the reference is a runner like any other.

inputs.py       what the graphs are fed: real images and the extremes
compare.py      one output against its reference, in figures
decisions.py    indices and masks, and what follows from them
tolerances.py   how far apart is too far
check.py        every exported graph of a bundle against the eager model
verify.py       checksums and golden vectors, where the model has landed
report.py       what was found, for a program and for a file
"""
