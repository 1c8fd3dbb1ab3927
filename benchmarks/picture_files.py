"""Claim: an EXIF orientation costs training and evaluation at most 1.3 times the upright picture.

    python benchmarks/picture_files.py     # training (random resized crops to 224) and evaluation, from files made here

Pictures of each kind take turns in one run; what counts is the median of each. The files are drawn by a fixed seed:
smooth shapes with some noise, about as large as a phone's and a camera's pictures of that size are.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment

# Kind -> (width, height), suffix, how it is saved. Orientation 6 is a phone held upright.
KINDS = {
    "JPEG, 12 megapixels": ((4000, 3000), ".jpg", {"quality": 90}),
    "JPEG, 12 megapixels, orientation 6": ((4000, 3000), ".jpg", {"quality": 90, "orientation": 6}),
    "JPEG, 470x390, about ImageNet's mean": ((470, 390), ".jpg", {"quality": 90}),
    "JPEG, 800x600": ((800, 600), ".jpg", {"quality": 90}),
    "PNG, 800x600": ((800, 600), ".png", {}),
    "PNG, 800x600, palette": ((800, 600), ".png", {"mode": "P"}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind")
    parser.add_argument("--pictures", type=int, default=16, help="of each kind and turn")
    arguments = parser.parse_args()
    environment.load_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        sources = {kind: make(pathlib.Path(folder, str(i)), kind, arguments.pictures) for i, kind in enumerate(KINDS)}
        training, evaluation = ({kind: [] for kind in KINDS} for _ in range(2))
        for epoch in range(arguments.rounds):
            for kind, data in sources.items():
                batches = data.training(8, 0, epoch, augment=("resized_crop", "flip"), pixels=True)
                training[kind].append(speed(batches, arguments.pictures))
                evaluation[kind].append(speed(data.evaluation("test"), arguments.pictures))
    print(f"{'images/s':36} training  evaluation")
    for kind in KINDS:
        print(f"{kind:36} {statistics.median(training[kind]):8.1f}  {statistics.median(evaluation[kind]):10.1f}")


def make(folder, kind, count):
    """Writes the pictures of a kind; returns a `Data` that reads them."""
    import numpy as np
    from PIL import Image

    from keras_resnet.data.dataset import Data
    from keras_resnet.data.decoding import layout
    from keras_resnet.data.sources import Files
    from keras_resnet.device.classes import Classes
    from keras_resnet.device.contract import Contract
    from keras_resnet.device.picture import ORIENTATION, Picture

    (width, height), suffix, how = KINDS[kind]
    rng = np.random.default_rng(0)
    folder.mkdir()
    paths, exif = [], Image.Exif()
    exif[ORIENTATION] = how.get("orientation", 1)
    for i in range(count):
        shapes = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize((width, height), Image.BICUBIC)
        noisy = np.asarray(shapes, np.int16) + rng.integers(-4, 5, (height, width, 1), np.int16)
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(how.get("mode", "RGB"))
        paths.append(folder / f"{i}{suffix}")
        picture.save(paths[-1], quality=how.get("quality"), **({"exif": exif} if "orientation" in how else {}))
    layouts = np.array([layout(path.read_bytes()) for path in paths])
    files = Files(np.array([bytes(path) for path in paths]), np.zeros(count, np.int64), layouts)
    contract = Contract(Picture(224, 224, 3, 0.875), Classes(("a", "b")))
    return Data(kind, contract, files, files, files)


def speed(batches, count):
    began = time.perf_counter()
    for _ in batches:
        pass
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
