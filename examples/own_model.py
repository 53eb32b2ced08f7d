"""A small variational autoencoder, written without a thought of export, and trained on a folder of images.

    python own_model.py photos/ small.safetensors

docs/own-models.md makes a bundle of it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors.torch import save_file
from torch import nn

SIZE = 32


class SmallVAE(nn.Module):
    """Takes and gives images from −1 to 1."""

    def __init__(self, latent_dim=16, width=16):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )
        features = 2 * width * (SIZE // 4) ** 2
        self.mean = nn.Linear(features, latent_dim)
        self.logvar = nn.Linear(features, latent_dim)
        self.widen = nn.Linear(latent_dim, features)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def encode(self, x):
        h = self.down(x).flatten(1)
        return self.mean(h), self.logvar(h)

    def decode(self, z):
        h = self.widen(z)
        return self.up(h.view(z.shape[0], -1, SIZE // 4, SIZE // 4))

    def forward(self, x):
        mean, logvar = self.encode(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
        return self.decode(z), mean, logvar


def read(folder):
    """Images as float32 [N, 3, SIZE, SIZE] from −1 to 1: (x − 0.5) / 0.5 of what is in [0, 1]."""
    images = [Image.open(path).convert("RGB").resize((SIZE, SIZE)) for path in sorted(Path(folder).iterdir())]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return (pixels - 0.5) / 0.5


def train(folder, epochs=5, batch_size=32):
    model, images = SmallVAE(), read(folder)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in images[torch.randperm(len(images))].split(batch_size):
            reconstruction, mean, logvar = model(batch)
            kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()
            loss = F.mse_loss(reconstruction, batch, reduction="sum") / len(batch) + kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


if __name__ == "__main__":
    save_file(train(sys.argv[1]).state_dict(), sys.argv[2])
