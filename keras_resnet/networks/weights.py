"""Models and their weights: saved whole, copied, and looked over."""

import keras
import numpy as np

from keras_resnet import files, runs


def fitting(model, contract, name):
    """A functional model that makes a contract's output of its input.

    Raises:
        RunError: it makes something else; `name` says which model.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "input_shape"):
        raise runs.RunError(f"{name}: got {type(model).__name__}, expected a functional keras.Model")
    made, expected = (
        shapes[0] if len(shapes) == 1 else shapes
        for shapes in ([tuple(o.shape) for o in model.outputs], [(None, *shape) for shape in contract.output.shapes])
    )
    if (model.input_shape, made) != ((None, *contract.shape), expected):
        raise runs.RunError(
            f"{name}: this model makes {made} of {model.input_shape}, the contract wants {expected} of "
            f"{(None, *contract.shape)}; give the one that belongs to it"
        )
    return model


def save_model(model, path):
    """Saves a Keras model atomically."""
    with files.atomic(path) as temporary:
        model.save(temporary)


def copy_weights(source, target):
    """Copies all weights between two models of the same layers."""
    for old, new in zip(source.weights, target.weights, strict=True):
        new.assign(value(old))


def value(variable):
    """The value of a Keras variable as a NumPy array; of the first replica where there are several."""
    v = variable.value if hasattr(variable, "value") else variable
    return (v.values[0] if hasattr(v, "values") else v).numpy()


def broken_weight(model):
    """The path of the first weight of a model that is not finite, or None."""
    return next((v.path for v in model.weights if not np.isfinite(value(v)).all()), None)
