"""Running a bundle's graphs, without torch.

runner.py            GraphRunner: named arrays in, named arrays out
open.py              from a bundle, a role and a backend's name to a runner
backends/<name>.py   one engine each
codec.py             the Codec: encode, decode, reconstruct and denoise images
cores.py             how many cores this process may use
"""
