"""Claim: one training step of ResNet-20 on a CPU is faster here than in PyTorch and in stock Keras 3.

    python benchmarks/training_step.py            # a few minutes; PyTorch from the extra: pip install -e ".[bench]"
    python benchmarks/training_step.py --avx2     # the same as on a CPU without AVX-512

Each peer trains the same network (CIFAR shape, batch 128, float32, SGD with Nesterov momentum and weight decay) in a
process of its own, because oneDNN is chosen when TensorFlow is loaded. They take turns in one run, some steps at a
time, so that the machine's moods hit all alike; what counts is the median step. Ratios are ours over theirs. A plain
matrix product takes its turn, too: what the machine can do at most.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BATCH = 128
# Name -> environment of the process. None: as TensorFlow decides (on with AVX512 or AMX, else off).
PEERS = {
    "keras_resnet": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "PyTorch channels-last": {},
    "stock Keras": {"TF_ENABLE_ONEDNN_OPTS": None},
    "stock Keras, oneDNN on": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "stock Keras, oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
# oneDNN, and PyTorch's own kernels, with no newer instructions than these.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"}


def fit_steps(model, dataset):
    """Returns a function that trains some steps by `fit` and returns the seconds of each."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.began = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            seconds.append(time.perf_counter() - self.began)

    def steps(n):
        seconds.clear()
        model.fit(dataset, steps_per_epoch=n, callbacks=[Clock()], verbose=0, shuffle=False)
        return list(seconds)

    seconds = []
    return steps


def one_batch():
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, 32, 32, 3)).astype("float32"), rng.integers(0, 10, BATCH)


def keras_peer(stock):
    """The training step as `train.py` makes it, or Keras' own on the same network."""
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet import ResNet
    from keras_resnet.recipes import Recipe
    from keras_resnet.tasks.losses import classification
    from keras_resnet.training import normalization, optimization

    model, accuracy = ResNet(20, (32, 32, 3), 10), keras.metrics.SparseCategoricalAccuracy()
    if stock:
        optimizer = keras.optimizers.SGD(0.1, 0.9, nesterov=True, weight_decay=1e-4)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        model = normalization.from_pixels(normalization.training_twin(model, "fused"))
        optimizer, loss = optimization.make_optimizer(Recipe(), 10_000), classification()
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=False)
    images, labels = one_batch()
    if not stock:  # as `train.py` hands pictures over
        images = np.clip((images + 1) * 128, 0, 255).astype("uint8")
    return fit_steps(model, tf.data.Dataset.from_tensors((images, labels)).repeat())


def torch_network():
    """The same network in PyTorch, written as its users write it."""
    import torch
    from torch import nn

    def conv(i, o, k, s):
        return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o))

    class Block(nn.Module):
        def __init__(self, i, o, s):
            super().__init__()
            self.one, self.two = conv(i, o, 3, s), conv(o, o, 3, 1)
            self.shortcut = conv(i, o, 1, s) if i != o else nn.Identity()

        def forward(self, x):
            return torch.relu(self.shortcut(x) + self.two(torch.relu(self.one(x))))

    blocks, i = [], 16
    for o in (16, 32, 64):
        for b in range(3):
            blocks.append(Block(i, o, 2 if o > 16 and b == 0 else 1))
            i = o
    net = nn.Sequential(conv(3, 16, 3, 1), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return net.to(memory_format=torch.channels_last)


def torch_peer():
    import torch

    net = torch_network()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, nesterov=True, weight_decay=1e-4)
    images, labels = one_batch()
    images = torch.tensor(images.transpose(0, 3, 1, 2)).to(memory_format=torch.channels_last)
    labels, loss = torch.tensor(labels), torch.nn.CrossEntropyLoss()

    def steps(n):
        seconds = []
        for _ in range(n):
            began = time.perf_counter()
            optimizer.zero_grad()
            loss(net(images), labels).backward()
            optimizer.step()
            seconds.append(time.perf_counter() - began)
        return seconds

    return steps


def serve(name):
    """A peer's process: reads a number of steps a line, answers their seconds as JSON."""
    steps = torch_peer() if name.startswith("PyTorch") else keras_peer(name.startswith("stock"))
    steps(5)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(steps(int(line))), flush=True)


class Peer:
    """A peer's process, seen from the benchmark."""

    def __init__(self, name):
        environment = {**os.environ, **{k: v for k, v in PEERS[name].items() if v is not None}}
        for key in (k for k, v in PEERS[name].items() if v is None):
            environment.pop(key, None)
        command = [sys.executable, __file__, "--serve", name]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.seconds = []
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("it could not be started")
        return json.loads(line)

    def steps(self, n):
        print(n, file=self.process.stdin, flush=True)
        self.seconds += self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def matrix_product(side=2048):
    """Returns a function that multiplies two float32 matrices in NumPy and returns the operations a second."""
    import numpy as np

    a, b = np.random.default_rng(0).normal(size=(2, side, side)).astype("float32")

    def rate():
        began = time.perf_counter()
        np.matmul(a, b)
        return 2 * side**3 / (time.perf_counter() - began)

    rate()
    return rate


def operations_a_picture():
    """Of a training step: the forward pass's multiplications and additions, and twice as many backward."""
    from keras_resnet import environment

    environment.load_tensorflow()
    from keras_resnet import ResNet
    from keras_resnet.networks.counting import multiplications

    return 3 * 2 * multiplications(ResNet(20, (32, 32, 3), 10))


def start(names):
    """Peers that can be started here, and a reason for each that can't."""
    import importlib.util

    peers, missing = {}, {}
    for name in names:
        if name.startswith("PyTorch") and not importlib.util.find_spec("torch"):
            missing[name] = 'not measured: PyTorch is not installed (pip install -e ".[bench]")'
            continue
        peers[name] = Peer(name)
    return peers, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each peer")
    parser.add_argument("--steps", type=int, default=12, help="steps a turn; the first is not counted")
    parser.add_argument("--avx2", action="store_true", help="measure a CPU with AVX-512 as if it had AVX2 only")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve)
    if arguments.avx2:
        os.environ.update(AVX2)
        PEERS["stock Keras"] = PEERS["stock Keras, oneDNN off"]  # what TensorFlow decides on such a CPU
    peers, missing = start(PEERS)
    medians, product, peak = {name: [] for name in peers}, matrix_product(), []
    for _ in range(arguments.rounds):
        for name, peer in peers.items():
            peer.seconds.clear()
            peer.steps(arguments.steps)
            medians[name] += peer.seconds[1:]
        peak += [product() for _ in range(4)]
    for peer in peers.values():
        peer.close()
    ours = statistics.median(medians["keras_resnet"])
    print(
        f"ResNet-20, batch {BATCH}, float32, {os.cpu_count()} cores{', AVX2 only' if arguments.avx2 else ''}, "
        f"{arguments.rounds} x {arguments.steps - 1} steps"
    )
    for name in PEERS:
        if name in missing:
            print(f"{name:24} {missing[name]}")
            continue
        median = statistics.median(medians[name])
        ratio = "" if name == "keras_resnet" else f"  … {median / ours:.2f}x"
        print(f"{name:24} {1000 * median:6.0f} ms a step, {BATCH / median:5.0f} images/s{ratio}")
    rate, most = operations_a_picture() * BATCH / ours, statistics.median(peak)
    print(
        f"keras_resnet's convolutions: {rate / 1e9:.0f} billion operations a second, {rate / most:.0%} of the "
        f"{most / 1e9:.0f} of a plain matrix product (NumPy, float32)"
    )


if __name__ == "__main__":
    main()
