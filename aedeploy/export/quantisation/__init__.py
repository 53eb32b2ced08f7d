"""Graphs that compute in less than float32, from their ONNX form.

walk.py          the shape of an ONNX graph: who makes a tensor, who takes it
transposed.py    transposed convolutions as plain ones, exactly, since no engine has int8 kernels for them
ranges.py        the values that every tensor takes on real images
int8.py          a graph in int8, by a plan that says which layers are and how
search.py        the best plan, by measurement
judge.py         what a graph in less costs, in dB of images
compact.py       short names, and nothing that says the default
"""
