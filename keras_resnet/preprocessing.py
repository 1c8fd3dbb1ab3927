"""Names of older versions for what is the contract's now: `device.contract`, `device.picture`, `data.decoding`."""

from keras_resnet.data.decoding import normalize as normalize
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import Picture


class ImageContract(Contract):
    """Makes a `Contract` of pictures and classes."""

    def __new__(cls, height, width, channels, labels, crop_fraction=1.0):
        return Contract(Picture(height, width, channels, crop_fraction), Classes(tuple(labels)))
