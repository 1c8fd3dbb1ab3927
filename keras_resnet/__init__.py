"""Residual networks in Keras 3: trained, quantized while they learn, exported and proven.

The names below load TensorFlow when they are first used, so that flags and help stay instant.
"""

import importlib

from keras_resnet import environment

environment.prepare()

__version__ = "0.1.0"

_HOMES = {
    "keras_resnet.networks.resnet": [
        "ResNet",
        *(f"resnet{depth}" for depth in (8, 18, 20, 32, 34, 44, 50, 56, 101, 110, 152)),
    ],
    "keras_resnet.depths": ["Layout"],
    "keras_resnet.data.loading": ["load_dataset"],
    "keras_resnet.preprocessing": ["ImageContract"],
    "keras_resnet.device.contract": ["Contract"],
    "keras_resnet.device.picture": ["Picture"],
    "keras_resnet.device.sound": ["Sound"],
    "keras_resnet.device.text": ["Text"],
    "keras_resnet.device.several": ["Several"],
    "keras_resnet.device.classes": ["Classes"],
    "keras_resnet.device.labels": ["Labels"],
    "keras_resnet.api": ["load", "train"],
    "keras_resnet.recipes": ["Recipe", "RECIPES"],
    "keras_resnet.models": ["load_pretrained"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'keras_resnet' has no attribute {name!r}")
