"""Saved models, quantized or not."""

import pathlib

import keras

from keras_resnet import files, origins, runs
from keras_resnet.quantization import fake_quantization  # noqa: F401 (it registers its layers)


def load_model(path):
    """Loads a model of a run, quantized or not.

    Raises:
        RunError: the file holds no Keras model that can be loaded.
    """
    try:
        origins.keras_config(path)
        return keras.models.load_model(path)  # in safe mode, which executes no code of the file's
    except Exception as error:  # of many kinds; the last line says what is wrong
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:200]
        if (pathlib.Path(path).parent / "recipe.json").exists():
            raise runs.RunError(f"{path}: no model of a run ({reason}); {files.RESTORE}") from error
        raise runs.RunError(f"{path}: no Keras model of stock layers ({reason})") from error
