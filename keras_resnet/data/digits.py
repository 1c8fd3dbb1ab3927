"""The bundled digits: the test set of *Optical Recognition of Handwritten Digits* (UCI, CC BY 4.0), 8x8 pixels."""

import importlib.resources

import numpy as np

from keras_resnet.data.dataset import in_memory
from keras_resnet.data.sources import Arrays
from keras_resnet.data.splits import complete
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import Picture


def load(size, channels, fit):
    with importlib.resources.files("keras_resnet").joinpath("data/digits.npz").open("rb") as file:
        saved = np.load(file)
        pictures, labels = saved["images"], saved["labels"].astype(np.int64)
    contract = Contract(Picture(*size, channels, **fit), Classes(tuple("0123456789")))
    return in_memory("digits", contract, complete({"train": Arrays(pictures, labels)}, contract.labels, 0.2))
