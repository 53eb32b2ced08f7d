"""The self-test: real images and what PyTorch made of them, run through the graphs here."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder import Arrays, Autoencoder, graph_of
from contract import CONTRACT

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    subject: str
    passed: bool
    said: str


@dataclass
class _Errors:
    """Of one output of a graph, over all its golden cases."""

    squared_error: float = 0.0
    squared_golden: float = 0.0
    values: int = 0


def self_test(model: Autoencoder, folder: Path) -> Iterator[Check]:
    """Every file's SHA-256, then every golden case of the contract."""
    for record in _files():
        yield _file_check(folder, record)
    try:
        golden = read_safetensors(folder / CONTRACT["golden"]["file"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Check(CONTRACT["golden"]["file"], False, f"it cannot be read ({error}): write the program again")
        return
    totals: dict[tuple[str, str], _Errors] = {}
    codes: dict[int, tuple[Arrays, Arrays, Arrays]] = {}  # by batch: the encoder's input, what it gave, the golden
    for case in CONTRACT["golden"]["cases"]:
        role, batch = case["role"], case["batch"]
        subject = f"{role}, batch {batch}"
        prefix = f"{role}/{batch}/"
        tensors = {name.removeprefix(prefix): array for name, array in golden.items() if name.startswith(prefix)}
        takes = [spec["name"] for spec in graph_of(role)["inputs"]]
        inputs = {name: tensors.pop(name) for name in takes if name in tensors}
        if len(inputs) < len(takes) or not tensors:
            yield Check(subject, False, "its golden vectors are missing")
            continue
        try:
            got = model.run(role, inputs)
        except Exception as error:  # onnxruntime's have no common base
            yield Check(subject, False, f"onnxruntime failed: {' '.join(str(error).split())}")
            continue
        if role == "encoder":
            codes[batch] = (inputs, got, tensors)
        if role == "autoencoder" and batch in codes:
            tensors = _nearest(model, codes[batch], inputs, got, tensors)
        for name in dict.fromkeys((*tensors, *got)):
            yield _judged(role, subject, name, got, tensors, totals.setdefault((role, name), _Errors()))
    for (role, name), errors in totals.items():
        yield from _together(role, name, errors)


def read_safetensors(path: Path) -> Arrays:
    """All tensors of a file: eight bytes of length, a header in JSON, and the values.

    Raises:
        ValueError, KeyError: it is damaged.
    """
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise ValueError("its header is cut short")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            dtype, (begin, end) = _DTYPES[entry["dtype"]], entry["data_offsets"]
            if not 0 <= begin <= end <= len(content) - start:
                raise ValueError(f"{name} is cut short")
            flat = np.frombuffer(content[start + begin : start + end], dtype)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def _files() -> Iterator[dict[str, Any]]:
    yield CONTRACT["golden"]
    for graph in CONTRACT["graphs"]:
        yield graph
        if graph["data"]:
            yield graph["data"]


def _file_check(folder: Path, record: dict[str, Any]) -> Check:
    try:
        found = hashlib.sha256((folder / record["file"]).read_bytes()).hexdigest()
    except OSError as error:
        return Check(record["file"], False, f"it cannot be read ({error.strerror}): write the program again")
    same = found == record["sha256"]
    return Check(record["file"], same, "as it was written" if same else "its SHA-256 is not the contract's: altered")


def _judged(role: str, subject: str, name: str, got: Arrays, golden: Arrays, totals: _Errors) -> Check:
    subject = f"{subject}, {name}"
    if name not in got or name not in golden:
        return Check(subject, False, f"the {'graph does not give' if name not in got else 'golden file lacks'} it")
    value, want = got[name], golden[name]
    if value.shape != want.shape or value.dtype != want.dtype:
        shapes = f"{value.dtype} {list(value.shape)} where {want.dtype} {list(want.shape)} was due"
        return Check(subject, False, shapes)
    if not (np.isfinite(value).all() and np.isfinite(want).all()):
        return Check(subject, False, "NaN or infinity")
    graph = graph_of(role)
    if name == "indices":
        return _counted(subject, int(np.count_nonzero(value != want)), want.size, graph["decisions"], 1)
    bound = next(output for output in graph["outputs"] if output["name"] == name)
    peak = float(np.abs(want).max(initial=0.0))
    limit = math.inf if bound["absolute"] is None else bound["absolute"] + bound["relative"] * peak
    judged = np.ones(want.shape, bool)
    otherwise = 0
    if name == "latent" and "indices" in golden and "indices" in got:
        judged &= (got["indices"] == golden["indices"])[:, np.newaxis]
    elif name == "latent" and role == "encoder" and CONTRACT["latent"]["masked"]:
        judged = ~_flipped(value, want, limit)
        otherwise = int(np.count_nonzero(~judged))
    difference = value[judged].astype(np.float64) - want[judged].astype(np.float64)
    totals.squared_error += float(np.square(difference).sum())
    totals.squared_golden += float(np.square(want[judged].astype(np.float64)).sum())
    totals.values += difference.size
    error = float(np.abs(difference).max(initial=0.0))
    if not error <= limit:
        return Check(subject, False, f"off by {error:.1e}, and {limit:.1e} is allowed")
    if otherwise:
        return _counted(subject, otherwise, want.size, graph["decisions"], 2)
    return Check(subject, True, f"off by {error:.1e}" + (f" of {limit:.1e}" if limit < math.inf else ""))


def _counted(subject: str, otherwise: int, decisions: int, share: float, least: int) -> Check:
    """A choice between two that are equally good may fall either way: a few may, not all."""
    allowed = min(max(least, int(share * decisions)), max(decisions - 1, 0))
    said = f"{otherwise} of {decisions} choices fell otherwise, and {allowed} may"
    return Check(subject, otherwise <= allowed, said)


def _flipped(value: np.ndarray, want: np.ndarray, limit: float) -> np.ndarray:
    """Which entries are 0 on one side only, and no larger than the least that is kept."""
    kept, wanted = value != 0.0, want != 0.0
    magnitude = np.where(wanted, want, np.where(kept, value, np.inf))
    as_many = kept.sum(axis=1, keepdims=True) == wanted.sum(axis=1, keepdims=True)
    least = np.where(as_many, magnitude.min(axis=1, keepdims=True), magnitude.min(initial=np.inf))
    flipped: np.ndarray = (kept != wanted) & (np.abs(value - want) > limit) & (magnitude <= least + limit)
    return flipped


def _nearest(
    model: Autoencoder, code: tuple[Arrays, Arrays, Arrays], inputs: Arrays, got: Arrays, golden: Arrays
) -> Arrays:
    """Of images of which the encoder decided otherwise, what the decoder makes of that, where it is the nearer one."""
    encoder_inputs, mine, want = code
    name = "reconstruction"
    if not np.array_equal(encoder_inputs["image"], inputs["image"]) or mine.get("latent") is None:
        return golden
    if name not in got or name not in golden or got[name].shape != golden[name].shape:
        return golden
    if "indices" in mine and "indices" in want and mine["indices"].shape == want["indices"].shape:
        other = mine["indices"] != want["indices"]
    elif CONTRACT["latent"]["masked"] and mine["latent"].shape == want["latent"].shape:
        other = (mine["latent"] != 0.0) != (want["latent"] != 0.0)
    else:
        return golden
    rows = np.flatnonzero(other.reshape(len(other), -1).any(axis=1))
    if not len(rows):
        return golden
    nearest = golden[name].copy()
    for row, image in zip(rows, model.decode(mine["latent"][rows]), strict=True):
        if np.abs(got[name][row] - image).max() < np.abs(got[name][row] - nearest[row]).max():
            nearest[row] = image
    return {**golden, name: nearest}


def _together(role: str, name: str, errors: _Errors) -> Iterator[Check]:
    bound = next((output for output in graph_of(role)["outputs"] if output["name"] == name), None)
    if bound is None or not errors.values:
        return
    if bound["norm"] is not None:
        relative = math.sqrt(errors.squared_error / errors.squared_golden) if errors.squared_golden else math.inf
        said = f"relatively off by {relative:.1e} of {bound['norm']:.1e}"
        yield Check(f"{role}, all batches, {name}", relative <= bound["norm"] or errors.squared_error == 0.0, said)
    if bound["psnr"] is not None:
        mean = errors.squared_error / errors.values
        psnr = -10 * math.log10(mean) if mean else math.inf
        said = f"{psnr:.1f} dB, and {bound['psnr']:.1f} are wanted"
        yield Check(f"{role}, all batches, {name}", psnr >= bound["psnr"], said)
