"""Batch jobs over folders: encode, decode, reconstruct, denoise. A job is made of shards, each a pure task.

request.py    what a caller asks for
sources.py    the inputs of a job: the images of a folder, or the rows of latents files
plan.py       request + sources + ledger → the shards that are left to do; refuses before anything is written
spec.py       what a shard task is given and what it reports: plain data
shard.py      run_shard(spec) → report
<job>.py      what one job does with a chunk of a shard
latents.py    latents as files: Parquet, npy, safetensors
outputs.py    where the outputs go
ledger.py     what is done and what failed, append-only
engines/      who runs the shards
run.py        a plan carried out: a generator of events, the last of them the summary
"""
