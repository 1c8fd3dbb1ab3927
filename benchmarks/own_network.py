"""Claim: a network that is none of ours, keras.applications' MobileNetV3Small, learns and becomes pure int8 as ours do.

    python -m benchmarks.own_network runs/mobilenetv3small [--epochs=20] [--precision=mixed_bfloat16]
    python -m export runs/mobilenetv3small --qat_epochs=3

CIFAR-10, from random weights; its pixels are doubled, since the network halves a picture five times.
"""

import argparse
import pathlib

import keras_resnet
from keras_resnet import Recipe, environment


def network():
    """MobileNetV3Small from CIFAR-10's scaled pictures to ten logits."""
    import keras

    inputs = keras.Input((32, 32, 3))
    body = keras.applications.MobileNetV3Small(
        (64, 64, 3), weights=None, classes=10, classifier_activation=None, include_preprocessing=False
    )
    for layer in body._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # 0.999 of its own remembers more steps than this training's last epochs have
    return keras.Model(inputs, body(keras.layers.UpSampling2D(2)(inputs)), name="mobilenetv3small")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="the run's folder")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    arguments = parser.parse_args()
    environment.load_tensorflow()
    recipe = Recipe(
        dataset="cifar10",
        epochs=arguments.epochs,
        batch_size=128,
        optimizer="adamw",
        learning_rate=0.002,
        weight_decay=0.02,
        schedule="cosine",
        warmup=0.05,
        augmentation="crop,flip",
        precision=arguments.precision,
    )
    keras_resnet.train(recipe, model=network(), run_dir=arguments.run)


if __name__ == "__main__":
    main()
