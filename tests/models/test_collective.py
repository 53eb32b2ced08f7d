"""Bottlenecks that learn from batches, in two processes with half of a batch each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from aedeploy.models.bottlenecks import batch_topk, vq

SCRIPT = """
import sys
import torch
from safetensors.torch import save_file
from torch import nn
from aedeploy.models.bottlenecks import batch_topk, vq

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
torch.manual_seed(rank)  # the processes draw differently
quantiser = vq.Bottleneck(vq.BottleneckConfig(codebook_size=8, decay=0.5), nn.Identity, 2)
mask = batch_topk.Bottleneck(batch_topk.BottleneckConfig(k=1, momentum=0.5), nn.Identity, 2)
whole = torch.load(f"{folder}/batches.pt")
for batch in whole:
    half = batch[rank::2]
    quantiser.training_code(half)
    mask.training_code(half)
state = {name: value.clone() for name, value in [*quantiser.state_dict().items(), *mask.state_dict().items()]}
quantiser.revive_below = 0.0
quantiser.codebook.copy_(torch.arange(16.0).view(8, 2) / 8)
quantiser.training_code(whole[0][rank::2])
save_file({**state, **{f"after.{k}": v for k, v in quantiser.state_dict().items()}}, f"{folder}/{rank}.safetensors")
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """The folder with what each process has at its end, and the batches."""
    folder = tmp_path_factory.mktemp("two")
    batches = torch.rand(3, 6, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.save(batches, folder / "batches.pt")
    running = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), str(folder)]) for rank in (0, 1)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    return folder, batches


def test_all_processes_hold_the_same_codebook_and_threshold(two: tuple[Path, torch.Tensor]) -> None:
    first, second = (load_file(two[0] / f"{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert first["initialised"].item()
    assert first["threshold"].item() > 0.0


def test_a_codebook_learns_from_the_whole_batch(two: tuple[Path, torch.Tensor]) -> None:
    folder, batches = two
    state = load_file(folder / "0.safetensors")
    alone = vq.Bottleneck(vq.BottleneckConfig(codebook_size=8, decay=0.5, revive_below=0.0), nn.Identity, 2)
    alone.load_state_dict({name: state[name] for name in alone.state_dict()})
    alone.codebook.copy_(torch.arange(16.0).view(8, 2) / 8)
    alone.training_code(batches[0])
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(state[f"after.{name}"], value)


def test_a_threshold_is_the_mean_of_those_of_all_processes(two: tuple[Path, torch.Tensor]) -> None:
    folder, batches = two
    found = None
    for batch in batches:
        halves = []
        for rank in (0, 1):
            module = batch_topk.Bottleneck(batch_topk.BottleneckConfig(k=1), nn.Identity, 2)
            module.training_code(batch[rank::2])
            halves.append(module.threshold.item())
        mean = sum(halves) / 2
        found = mean if found is None else 0.5 * found + 0.5 * mean
    assert load_file(folder / "0.safetensors")["threshold"].item() == pytest.approx(found)
