"""Claim: our int8 ResNet-8 is no larger and no slower than MLPerf Tiny's reference of the same topology.

    python -m benchmarks.mlperf_tiny OURS.tflite pretrainedResnet_quant.tflite

The reference is https://github.com/mlcommons/tiny, benchmark/training/image_classification/trained_models. Bytes are
the bare model's, without metadata, contract and labels. Both run in turns in one process; what counts is the median.
"""

import argparse
import pathlib

import numpy as np

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment


def bare_bytes(path):
    """Size of a `.tflite` without the metadata in it and the files behind it."""
    from tensorflow.lite.tools import flatbuffer_utils

    from export import metadata

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    used = {entry.buffer for entry in model.metadata or [] if entry.name == metadata.NAME}
    if not used:
        return path.stat().st_size
    model.metadata = [entry for entry in model.metadata or [] if entry.buffer not in used]
    model.buffers = [buffer for i, buffer in enumerate(model.buffers) if i not in used]  # it is the last one
    return len(flatbuffer_utils.convert_object_to_bytearray(model))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", type=pathlib.Path)
    parser.add_argument("reference", type=pathlib.Path)
    arguments = parser.parse_args()
    environment.load_tensorflow()
    from export.comparison import measure_latency

    paths = {"keras_resnet": arguments.ours, "MLPerf Tiny": arguments.reference}
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    latency = measure_latency(paths, images, runs=1000)
    for name, path in paths.items():
        times = " · ".join(f"{n} {t['median']:.3f} ms (p90 {t['p90']:.3f})" for n, t in latency[name].items())
        print(f"{name:13} {bare_bytes(path):8,} bytes · {times}")
    ours, theirs = (latency[name]["1 thread"]["median"] for name in paths)
    print(f"MLPerf Tiny's reference takes {theirs / ours:.2f}x the time of ours, 1 thread")


if __name__ == "__main__":
    main()
