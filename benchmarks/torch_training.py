"""ResNet-20 in PyTorch by He et al.'s recipe for some minutes.

    python -m benchmarks.torch_training PICTURES.npz MINUTES

The rate falls at a half and at three quarters of the time, as the paper's at those parts of its epochs. It prints the
accuracy on the validation pictures and how many epochs it had. It is a process of its own, since PyTorch and TensorFlow
can't be in one everywhere.
"""

import json
import sys
import time

import numpy as np
import torch

from benchmarks.training_step import torch_network

BATCH = 128


def crops(images, random):
    """Of uint8 pictures (batch, 3, 32, 32): floats in [-1, 1), padded by 4 and cropped, half of them mirrored."""
    x = torch.nn.functional.pad(images.float() / 128 - 1, (4, 4, 4, 4))
    rows, columns = (random.integers(0, 9, (len(x), 1)) + np.arange(32) for _ in range(2))
    columns = np.where(random.random((len(x), 1)) < 0.5, columns[:, ::-1], columns)
    x = x[np.arange(len(x))[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return x.permute(0, 3, 1, 2)


def train(images, labels, minutes):
    """Returns the trained network and its epochs."""
    torch.manual_seed(0)
    net, random = torch_network(), np.random.default_rng(0)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, nesterov=True, weight_decay=1e-4)
    loss, done, order, began = torch.nn.CrossEntropyLoss(), 0, np.arange(0), time.monotonic()
    while (part := (time.monotonic() - began) / (60 * minutes)) < 1:
        if len(order) < BATCH:
            order = random.permutation(len(images))
        batch, order = order[:BATCH], order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * 0.1 ** ((part >= 0.5) + (part >= 0.75))
        optimizer.zero_grad()
        loss(net(crops(images[batch], random)), labels[batch]).backward()
        optimizer.step()
        done += BATCH
    return net, done / len(images)


def main():
    with np.load(sys.argv[1]) as file:
        arrays = {name: torch.tensor(file[name]) for name in file}
    images, validation = (arrays[f"{split}_images"].permute(0, 3, 1, 2) for split in ("train", "validation"))
    net, epochs = train(images, arrays["train_labels"].long(), float(sys.argv[2]))
    net.eval()
    with torch.no_grad():
        answers = torch.cat([net(part.float() / 128 - 1).argmax(1) for part in validation.split(500)])
    hits = answers == arrays["validation_labels"]
    print(json.dumps({"accuracy": hits.float().mean().item(), "epochs": epochs}))


if __name__ == "__main__":
    main()
