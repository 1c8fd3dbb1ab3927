"""Small trained models, shipped with the package. Each is a folder with a card; most are like a run's and learn on."""

import pathlib

_HERE = pathlib.Path(__file__).parent


def names():
    """Names of the models that can learn on, sorted."""
    return sorted(folder.name for folder in _HERE.iterdir() if (folder / "model.keras").exists())


def files():
    """Name -> the `.tflite` file of the models that are shipped as such alone."""
    return {path.parent.name: path for path in sorted(_HERE.glob("*/model.tflite"))}


def path(name):
    """Where a shipped model's folder lies, or would."""
    return _HERE / name


def described():
    """Name -> what the model's card opens with."""
    cards = {name: path(name) / "CARD.md" for name in sorted({*names(), *files()})}
    return {name: card.read_text(encoding="utf-8").split("\n\n")[1] for name, card in cards.items()}


def folder(name):
    """A model's folder, which is a run's.

    Raises:
        ValueError: there is no such model.
    """
    if name in files():
        raise ValueError(f"{name}: it is shipped as an int8 file alone, {files()[name]}, that learns no more")
    if name not in names():
        raise ValueError(f"{name}: no such run, file or model; models that are here: {', '.join(names())}")
    return path(name)


def load_pretrained(name):
    """Loads a shipped model by name.

    Returns:
        (model, contract): a `keras.Model` from `decoding.normalize`d pictures (batch, height, width, channels) to
        float32 logits (batch, classes), and the `Contract` that turns a picture into its input.

    Raises:
        ValueError: there is no such model.
    """
    import keras

    from keras_resnet.device.contract import Contract

    path = folder(name)
    return keras.models.load_model(path / "model.keras"), Contract.load(path / "contract.json")
