"""Calibration pictures, in whatever form they come, and the range of the input that they ask for."""

import warnings

import keras
import numpy as np

from keras_resnet.quantization import ranges

CONTRACT = (-1.0, 127 / 128)  # scale 1/128, zero point 0: the contract's pixels are exact
FILLED = 1 / 8  # part of it that pictures reach at least: data so small has another scale
BATCH = 64
ENDLESS = -1  # tf.data.INFINITE_CARDINALITY
TIED = 1e-3  # of a step
CLIPPED = 0.001  # part of the values from which on it is worth a warning
FORMS = (
    "give a float32 array (n, height, width, channels) of what the network learned from, pixel / 128 - 1 for this "
    "project's, or an iterable of such batches"
)


def batches(model, calibration):
    """Returns the pictures as a list of batches, each a list of a float32 array (batch, …) for each of the inputs.

    Args:
        model: `keras.Model`.
        calibration: as `quantize_aware` takes it.

    Raises:
        ValueError: there are none, or they are none of this model's.
    """
    several = isinstance(calibration, list) and len(calibration) == len(model.inputs) > 1
    several = several and all(hasattr(part, "shape") for part in calibration)
    if hasattr(calibration, "cardinality") and int(calibration.cardinality()) == ENDLESS:
        raise ValueError("calibration: a data set without an end; take some of it: .take(8)")
    if hasattr(calibration, "shape") or isinstance(calibration, dict) or several:
        whole = held(calibration, model)
        return _filled([[part[i : i + BATCH] for part in whole] for i in range(0, len(whole[0]), BATCH)])
    try:
        found = [held(element, model) for element in calibration]
    except TypeError as error:
        raise ValueError(f"calibration: a {type(calibration).__name__}; {FORMS}") from error
    if len(found) > 1 and all(len(part) == 1 for batch in found for part in batch):  # one by one would take long
        whole = map(np.concatenate, zip(*found, strict=True))
        return batches(model, dict(zip((i.name for i in model.inputs), whole, strict=True)))
    return _filled(found)


def pixel_range(picture):
    """The range (low, high) of a network's input by its contract: of pixels, or log-mel bytes, 0 to 255 in any channel.

    Where pixels would lie in the middle between two steps (as by a mean of 127.5), steps are a 256th smaller: else the
    last bit of a quotient would say which of two each becomes.
    """
    channels = getattr(picture, "channels", 1)
    ends = picture.scaled(np.array([[[0] * channels], [[255] * channels]], np.uint8)).astype(float)
    low, high = min(ends.min(), 0.0), max(ends.max(), 0.0)
    pixels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(channels, -1)
    steps = picture.scaled(pixels) / ((high - low) / 255) % 1
    if np.mean(np.abs(steps - 0.5) < TIED, (0, 1)).max() > 0.5:  # of any channel
        low, high = low * 255 / 256, high * 255 / 256
    return ranges.nudged(low, high, 8)


def _filled(found):
    found = [batch for batch in found if len(batch[0])]
    if not found:
        raise ValueError("calibration: no pictures; give at least one batch of preprocessed training pictures")
    return found


def held(element, model):
    """One batch, or a single example, as a list of an array for each input of a model; ValueError where it is none."""
    element = element[0] if isinstance(element, tuple) and element else element
    names = [i.name for i in model.inputs]
    if isinstance(element, dict):
        if missing := [name for name in names if name not in element]:
            raise ValueError(f"calibration: a dict of {', '.join(map(str, element))}; the model asks for {missing[0]}")
        element = [element[name] for name in names]
    elif len(names) == 1:
        element = [element]
    elif len(element) != len(names):
        raise ValueError(f"calibration: {len(element)} arrays for the inputs {', '.join(names)}; give dicts by name")
    arrays = [_held(part, i, len(names) > 1) for part, i in zip(element, model.inputs, strict=True)]
    if len({len(part) for part in arrays}) > 1:
        numbers = ", ".join(f"{name} {len(part)}" for name, part in zip(names, arrays, strict=True))
        raise ValueError(f"calibration: not as many of each input: {numbers}")
    return arrays


def _held(array, given, named):
    """An array held to an input's shape and kind of numbers; messages say its name where it has others beside."""
    shape, dtype, array = given.shape, given.dtype, np.asarray(array)
    which = f"calibration: {given.name}, " if named else "calibration: "
    array = array[None] if array.ndim == len(shape) - 1 else array
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape[1:], array.shape[1:], strict=True)):
        forms = f"; {FORMS}" if len(shape) == 4 else ""
        raise ValueError(f"{which}an array of shape {array.shape}; the model takes {shape}{forms}")
    if not keras.backend.is_float_dtype(dtype):
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f'{which}an array of {array.dtype}; the model takes {dtype}: .astype("{dtype}")')
        return array.astype(dtype)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{which}{'pictures' if len(shape) == 4 else 'an array'} of {array.dtype}; give float32, what the network "
            "takes (of this project's, pixel / 128 - 1; where the model rescales, the pixels: .astype('float32'))"
        )
    if not np.isfinite(array).all():
        at = int(np.argwhere(~np.isfinite(array.reshape(len(array), -1)).all(-1))[0, 0])
        raise ValueError(f"{which}a value is not finite (NaN or infinity), of number {at} of {len(array)}")
    return array.astype(np.float32, copy=False)


def input_ranges(given, batches, bits):
    """The range of each of a network's inputs, (low, high): `input_range` of it.

    Args:
        given: None to find them, (low, high) for all, or a list of either for each.
        batches: list of batches as `batches` returns them.
        bits: of the inputs.
    """
    parts = list(zip(*batches, strict=True))
    given = given if isinstance(given, list) and len(given) == len(parts) else [given] * len(parts)
    return [input_range(one, arrays, bits) for one, arrays in zip(given, parts, strict=True)]


def input_range(given, batches, bits):
    """The range of one input.

    Args:
        given: (low, high), or None to find it.
        batches: list of float32 arrays.
        bits: of the input.

    Returns:
        (low, high), floats; None of integers, as an Embedding takes them. A range that is found holds zero exactly.

    Raises:
        ValueError: a given one is none.

    Warns:
        UserWarning: more than `CLIPPED` of the values lie beyond it.
    """
    if np.issubdtype(batches[0].dtype, np.integer):
        return None  # it is never rounded
    if given is None:
        low, high = min(float(b.min()) for b in batches), max(float(b.max()) for b in batches)
        half = (CONTRACT[1] - CONTRACT[0]) / 255 / 2
        pixels = batches[0].ndim == 4 and max(-low, high) > FILLED
        within = pixels and CONTRACT[0] - half <= low and high <= CONTRACT[1] + half
        return CONTRACT if within else ranges.nudged(low, high, bits)
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low <= 0 <= high and high - low > 1e-6):
        raise ValueError(f"input_range={given}: expected two numbers (low, high) with zero between, as (-1, 1)")
    half = (high - low) / (2**bits - 1) / 2
    clipped = sum(np.count_nonzero((b < low - half) | (b > high + half)) for b in batches)
    part = clipped / sum(b.size for b in batches)
    if part > CLIPPED:
        warnings.warn(
            f"input_range=({low:.4g}, {high:.4g}) cuts off {part:.1%} of the calibration pictures' values; "
            "leave it out and it is found",
            stacklevel=4,
        )
    return low, high
