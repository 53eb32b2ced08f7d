"""Models as people write them, who know nothing of aedeploy: some that can be exported, and some that must not be."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 – as people write it
from torch import Tensor, nn


class TupleForward(nn.Module):
    """``encoder`` and ``decoder`` children, and a forward that returns the latent too."""

    def __init__(self, latent_dim: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, latent_dim))
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.ReLU(), nn.Linear(64, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(x)
        return self.decoder(z), z


class VAE(nn.Module):
    """As in PyTorch's own examples: encode gives mean and log variance, forward samples whenever it is called."""

    def __init__(self, latent_dim: int = 8) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 100)
        self.fc21 = nn.Linear(100, latent_dim)
        self.fc22 = nn.Linear(100, latent_dim)
        self.fc3 = nn.Linear(latent_dim, 100)
        self.fc4 = nn.Linear(100, 784)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h1 = F.relu(self.fc1(x.view(-1, 784)))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))).view(-1, 1, 28, 28)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


class SpatialLatent(nn.Module):
    """Convolutions only, with batch norm and dropout, on images from −1 to 1."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv2d(width, 4, 3, 2, 1),
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(4, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh()
        )

    def encode(self, x: Tensor) -> Tensor:
        return self.down(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Denoiser(nn.Module):
    """It takes the noise away that it finds; there is no latent."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, 3, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x - 0.1 * torch.tanh(self.body(x))


class Tied(nn.Module):
    """The decoder's weight is the encoder's, transposed: one tensor under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 784) * 0.03)
        self.mirror = self.weight
        self.bias = nn.Parameter(torch.zeros(784))

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z @ self.mirror + self.bias).unflatten(1, (1, 28, 28))


class Attention(nn.Module):
    """A latent of tokens, [batch, tokens, width], with a mask of −∞ among its buffers."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 16, 7, 7)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.register_buffer("mask", torch.full((16, 16), float("-inf")).triu(1))
        self.out = nn.ConvTranspose2d(16, 1, 7, 7)

    def encode(self, x: Tensor) -> Tensor:
        return self.block(self.patch(x).flatten(2).transpose(1, 2), src_mask=self.mask)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.out(z.transpose(1, 2).unflatten(2, (4, 4))))


# Below: each is wrong in one way.


class SamplingEncoder(VAE):
    """encode draws the latent itself."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.reparameterize(*super().encode(x))


class FixedView(VAE):
    """Written for a batch of one."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.fc21(F.relu(self.fc1(x.view(1, 784))))


class TrainingBatchView(VAE):
    """Written for the batch that it was trained with."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.fc21(F.relu(self.fc1(x.view(64, -1))))


class LengthOfBatch(VAE):
    """The batch is asked for by len, which gives a plain number."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.fc21(F.relu(self.fc1(x.reshape(len(x), 784))))


class SkipConnection(nn.Module):
    """A small U-Net: forward hands features past the latent."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 4, 4, 2, 1)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def encode(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.first(x)))

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.last(self.up(z)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.last(self.up(self.encode(x)) + self.first(x)))


class SamplingSkipConnection(SkipConnection):
    """The same, and forward samples as well."""

    def forward(self, x: Tensor) -> Tensor:
        z = self.encode(x)
        return torch.sigmoid(self.last(self.up(z + torch.randn_like(z)) + self.first(x)))


class NeedsSkips(SkipConnection):
    """decode cannot be called with the latent alone."""

    def decode(self, z: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        return torch.sigmoid(self.last(self.up(z) + skip))


class BatchStatistics(nn.Module):
    """Batch norm without running statistics: an image's result depends on its neighbours."""

    def __init__(self, track: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4, track_running_stats=track), nn.Conv2d(4, 1, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.body(x))


class AlwaysTraining(BatchStatistics):
    """It puts itself back into training mode."""

    def __init__(self) -> None:
        super().__init__(track=True)

    def forward(self, x: Tensor) -> Tensor:
        self.body.train()
        return super().forward(x)


class ActiveDropout(TupleForward):
    """F.dropout, without a word of the mode."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.decoder(F.dropout(self.encoder(x), 0.5))


class BakedSize(nn.Module):
    """Called fully convolutional, and resizes to the size that it was trained at."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, 2, 1)
        self.up = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.up(F.interpolate(self.down(x), size=(16, 16))))


class OfOneSize(nn.Module):
    """A linear layer between convolutions: other sizes fail."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 4, 4)
        self.middle = nn.Linear(4 * 4 * 4, 4 * 4 * 4)
        self.up = nn.ConvTranspose2d(4, 3, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.down(x)
        return torch.sigmoid(self.up(self.middle(h.flatten(1)).view_as(h)))


class OtherShape(VAE):
    """decode takes another latent than encode gives."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.fc1(x.flatten(1))


class FlatOutput(VAE):
    """decode gives rows of pixels."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().encode(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z).flatten(1)


def not_finite() -> nn.Module:
    """Training diverged, in one weight."""
    model = TupleForward()
    with torch.no_grad():
        model.decoder[2].weight[3, 5] = float("nan")
    return model


def not_a_module() -> Any:
    """A factory of something else."""
    return {"weights": 1}


class LeftBehind(VAE):
    """encode keeps the image's mean in the model, and decode takes it from there."""

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[override]
        self.level = x.mean((1, 2, 3), keepdim=True)
        return self.fc21(F.relu(self.fc1((x - self.level).flatten(1))))

    def decode(self, z: Tensor) -> Tensor:
        return 0.5 * super().decode(z) + 0.5 * self.level


class LeftBehindSkip(LeftBehind):
    """The same of another shape: a decoder alone, given several latents, does not even run."""

    def decode(self, z: Tensor) -> Tensor:
        return torch.cat([0.5 * super().decode(z), 0.5 * self.level.expand(-1, 1, 28, 28)], 1).mean(1, keepdim=True)


class LossFirst(nn.Module):
    """As tutorials write a VQ-VAE: forward quantises what is between the two, and returns its loss first."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 4, 4, 4)
        self.codebook = nn.Embedding(8, 4)
        self.decoder = nn.Sequential(nn.ConvTranspose2d(4, 1, 4, 4), nn.Sigmoid())

    def quantise(self, z: Tensor) -> Tensor:
        rows = z.permute(0, 2, 3, 1)
        nearest = (rows.unsqueeze(-2) - self.codebook.weight).square().sum(-1).argmin(-1)
        return self.codebook(nearest).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Any:
        z = self.encoder(x)
        quantised = self.quantise(z)
        return F.mse_loss(quantised, z), self.decoder(quantised)


class DictForward(LossFirst):
    """The same, with what it returns in a table."""

    def forward(self, x: Tensor) -> Any:
        loss, image = super().forward(x)
        return {"loss": loss, "reconstruction": image}


class Talking(Denoiser):
    """It says what it does."""

    def forward(self, x: Tensor) -> Tensor:
        print("in:", x.shape)  # noqa: T201 – as people write it
        return super().forward(x)


class TableForward(Denoiser):
    """A denoiser that returns a table."""

    def forward(self, x: Tensor) -> Any:
        return {"image": super().forward(x)}


class DistributionEncoder(VAE):
    """encode returns a distribution, not its parameters."""

    def encode(self, x: Tensor) -> Any:  # type: ignore[override]
        mean, logvar = super().encode(x)
        return torch.distributions.Normal(mean, logvar.exp())


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and used
        model: nn.Module = torch.jit.script(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)))
    return model
