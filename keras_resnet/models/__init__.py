"""Small trained models, shipped with the package. Each is a folder like a run's, with a card that says what it is."""

import pathlib

_HERE = pathlib.Path(__file__).parent


def names():
    """Names of the models, sorted."""
    return sorted(folder.name for folder in _HERE.iterdir() if (folder / "model.keras").exists())


def load_pretrained(name):
    """Loads a shipped model by name.

    Returns:
        (model, contract): a `keras.Model` from `preprocessing.normalize`d pictures (batch, height, width, channels) to
        float32 logits (batch, classes), and the `ImageContract` that turns a picture into its input.

    Raises:
        ValueError: there is no such model.
    """
    if name not in names():
        raise ValueError(f"name={name!r}: no such model; choose {', '.join(names())}")
    import keras

    from keras_resnet.preprocessing import ImageContract

    folder = _HERE / name
    return keras.models.load_model(folder / "model.keras"), ImageContract.load(folder / "contract.json")
