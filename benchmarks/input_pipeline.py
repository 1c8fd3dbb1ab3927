"""Claim: the input pipeline never keeps the network waiting: it gives at least 4x the images/s that a step takes.

    python benchmarks/input_pipeline.py [--data_dir=...]     # CIFAR-10 as `train.py` reads and augments it

The pipeline alone and the training step of ResNet-20 take turns in one run; what counts is the median of each.
"""

import argparse
import statistics
import time

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment, programs

BATCH = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", help="where TFDS keeps its data")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the pipeline and of the step")
    arguments = parser.parse_args()
    environment.load_tensorflow()
    from training_step import keras_peer

    from keras_resnet import load_dataset

    try:
        data = load_dataset(arguments.dataset, arguments.data_dir)
    except (ValueError, OSError) as error:
        programs.fail("input_pipeline", error)
    steps = keras_peer(stock=False)
    steps(5)
    pipeline, network = [], []
    for epoch in range(arguments.rounds):
        began = time.perf_counter()
        batches = sum(1 for _ in data.training(BATCH, 0, epoch, augment=("crop", "flip"), pixels=True))
        pipeline.append(batches * BATCH / (time.perf_counter() - began))
        network += [BATCH / seconds for seconds in steps(12)[1:]]
    delivered, consumed = statistics.median(pipeline), statistics.median(network)
    print(f"input pipeline, {arguments.dataset}, crop and flip: {delivered:8,.0f} images/s")
    print(f"training step, ResNet-20:                {consumed:8,.0f} images/s  … {delivered / consumed:.0f}x")


if __name__ == "__main__":
    main()
