"""A process of its own (PyTorch and TensorFlow don't share one well): weights and answers of torchvision's ResNet.

python tests/networks/torch_answers.py 50 FOLDER     # writes weights.pth, pixels.npy and answers.npy
"""

import pathlib
import sys

import numpy as np
import torch
import torchvision


def main(depth, folder):
    torch.manual_seed(0)
    model = getattr(torchvision.models, f"resnet{depth}")(num_classes=7).eval()
    for name, value in model.state_dict().items():  # no mistake hides behind a zero or a one
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
        elif value.ndim == 1:
            value.uniform_(0.5, 1.5)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3))
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        x = torch.tensor(pixels.transpose(0, 3, 1, 2)).float() / 255
        answers = model((x - mean) / deviation).numpy()
    torch.save({"state_dict": model.state_dict()}, folder / "weights.pth")
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "answers.npy", answers)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
