"""Batch jobs over images: encode, decode, reconstruct, denoise. A job is made of shards, each a pure task.

The way of an input:

request.py      what a caller asks for
plan.py         every reason not to begin, before anything is written
sources/        where inputs come from, listed bit by bit: folder, list, tar, zip, remote, latents
cut.py          the listing cut into shards, and held against what is done
    targets.py      inputs that would write one output
    guard.py        outputs that would land among the inputs
spec.py         what a shard task is given and what it reports: plain data
engines/        who runs the shards: local (threads and worker processes), ray
shard.py        run_shard(spec) → report
<job>.py        what one job does with a chunk of a shard: encode, decode, reconstruct, denoise
    reading.py      the images of a chunk, to pixels
    scoring.py      how far reconstructions are from their images
sinks/          where outputs go: latents (files of latents/), images as a tree or in tars, scores
ledger.py       what is done and what failed, append-only
run.py          a plan carried out: a generator of events, the last of them the summary

and beside it: calibration.py (the threshold of scores), dry_run.py (a plan told, its time measured), hints.py,
count.py (how many inputs there will be), status.py (what the ledgers of a folder say).
"""
