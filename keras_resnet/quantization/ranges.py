"""First ranges of activations, from pictures: what the search sees is the network in float with its kernels rounded."""

import keras
import numpy as np

SAMPLES = 65_536  # values kept of one tensor, for the searches
DENOMINATORS = np.arange(1025, 2048, 2)


class Observer:
    """Sees a tensor batch by batch: its least and largest values, and a sample of all."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.lows, self.highs, self.values = [], [], []

    def __call__(self, tensor):
        values = keras.ops.convert_to_numpy(tensor).ravel()
        self.lows.append(float(values.min()))
        self.highs.append(float(values.max()))
        self.values.append(values if values.size < 4096 else self.rng.choice(values, 4096, replace=False))

    @property
    def sample(self):
        values = np.concatenate(self.values)
        return values if values.size <= SAMPLES else self.rng.choice(values, SAMPLES, replace=False)


def largest(seen, bits):
    """The whole range that was seen."""
    return min(seen.lows), max(seen.highs)


def moving_average(seen, bits, momentum=0.9):
    """Exponential average of each batch's least and largest value (Jacob et al. 2017)."""
    low, high = seen.lows[0], seen.highs[0]
    for next_low, next_high in zip(seen.lows[1:], seen.highs[1:], strict=True):
        low = momentum * low + (1 - momentum) * next_low
        high = momentum * high + (1 - momentum) * next_high
    return low, high


def percentile(seen, bits, part=0.01):
    """All but the lowest and the highest hundredth of a per cent."""
    low, high = np.percentile(seen.sample, (part, 100 - part))
    return float(low), float(high)


def mse(seen, bits):
    """The range, a part of the whole one, whose rounding and clipping lose least in the mean square."""
    low, high = largest(seen, bits)
    sample = seen.sample

    def loss(part):
        a, b = nudged(low * part, high * part, bits)
        scale = (b - a) / (2**bits - 1)
        return np.mean((np.round((np.clip(sample, a, b) - a) / scale) * scale + a - sample) ** 2)

    part = min(np.linspace(1, 0.2, 41), key=loss)
    return low * part, high * part


SEARCHES = {"max": largest, "moving_average": moving_average, "percentile": percentile, "mse": mse}


def nudged(low, high, bits):
    """The nearest range that holds zero exactly, as int8 demands."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if high - low < 1e-6:
        high = 1.0  # a tensor that is always zero
    steps = 2**bits - 1
    scale = (high - low) / steps
    zero = round(-low / scale)
    return -zero * scale, (steps - zero) * scale


def untied(step, scale):
    """The smallest scale from `scale` on at which no average lies near the middle between two of its steps.

    XNNPACK's MEAN errs on x86 by some 1e-4 of a step, where Arm's is exact: an average that lies so close to a middle
    comes out one step apart. One ResNet-8 had a sum of that kind, met by 1.2 % of CIFAR-10's pictures. The mean of
    integers is their sum times `step / scale`. Where that is a fraction with an odd denominator q, no sum lies nearer
    to a middle than 1 / 2q.

    Args:
        step: float, what one unit of the sum is worth: the input's scale over the number of summands.
        scale: float, of the average.

    Returns:
        `step` times one of `DENOMINATORS` over an integer; `scale` where none lies within a thousandth.
    """
    numerators = np.maximum(np.floor(DENOMINATORS * (step / scale) * (1 + 1e-6)), 1)
    scales = step * DENOMINATORS / numerators
    near = scales[(scales >= scale * (1 - 1e-6)) & (scales <= 1.001 * scale)]
    return float(near.min()) if near.size else scale


def calibrate(model, pictures, search="mse"):
    """Sets the range of every `FakeQuantize` layer of a model that has none yet.

    Args:
        model: what `quantize_aware` built.
        pictures: iterable of batches, each a list of a float32 array (batch, …) for each of the inputs.
        search: a name of `SEARCHES`.

    Raises:
        ValueError: there are no pictures, or a layer's output is not finite.
    """
    waiting = [layer for layer in model.layers if hasattr(layer, "set_range") and layer.fixed is None]
    for layer in waiting:
        layer.observe = Observer()
    try:
        batches = 0
        for batch in pictures:
            parts = [keras.ops.convert_to_tensor(part) for part in batch]
            model(keras.tree.pack_sequence_as(model._inputs_struct, parts), training=False)
            batches += 1
    finally:
        seen = {layer: layer.observe for layer in waiting}
        for layer in waiting:
            layer.observe = None
    if not batches:
        raise ValueError("calibration: no pictures; give at least one batch of preprocessed training pictures")
    for layer, observer in seen.items():
        low, high = SEARCHES[search](observer, layer.bits)
        if not np.isfinite([low, high]).all():
            raise ValueError(f"layer {layer.name}: its values are not finite; the model's weights are broken")
        layer.set_range(*nudged(low, high, layer.bits))
