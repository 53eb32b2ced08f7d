"""Models: backbone × bottleneck, assembled into an autoencoder. Torch begins here.

backbones/<name>.py     the trunk, the heads and the decoder around a bottleneck
bottlenecks/<name>.py   what stands between encoder and decoder
autoencoder.py          the two assembled: encode, decode, reconstruct, and the pass that training takes
build.py                from a recipe's [model] table
own.py                  somebody's own nn.Module, as a model like the others
load.py                 from a bundle back to its model
store.py                a model's own files in a bundle: weights and golden vectors
place.py                where in somebody's code something happens
contract.py             what a model promises, as a bundle's manifest says it
"""
