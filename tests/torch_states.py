"""State dicts as PyTorch's networks have them, of random numbers."""

import numpy as np

from keras_resnet.depths import IMAGENET


def state_dict(depth, classes=7, seed=0):
    """Random arrays under torchvision's names."""
    rng, block, repeats, filters = np.random.default_rng(seed), *IMAGENET[depth]
    expansion = 4 if block == "bottleneck" else 1
    state = {"conv1.weight": (filters, 3, 7, 7), "bn1": filters, "fc.weight": (classes, 8 * filters * expansion)}
    state["fc.bias"] = (classes,)
    channels = filters
    for stage, repeat in enumerate(repeats, 1):
        f = filters * 2 ** (stage - 1)
        for b in range(repeat):
            name = f"layer{stage}.{b}"
            sizes = [(f, 1), (f, 3), (4 * f, 1)] if expansion == 4 else [(f, 3), (f, 3)]
            before = channels
            for i, (out, kernel) in enumerate(sizes, 1):
                state |= {f"{name}.conv{i}.weight": (out, before, kernel, kernel), f"{name}.bn{i}": out}
                before = out
            if b == 0 and channels != before:
                state |= {f"{name}.downsample.0.weight": (before, channels, 1, 1), f"{name}.downsample.1": before}
            channels = before
    arrays = {}
    for name, shape in state.items():
        if isinstance(shape, int):
            arrays |= {f"{name}.{part}": rng.normal(0, 0.1, shape) for part in ("bias", "running_mean")}
            arrays |= {f"{name}.{part}": rng.uniform(0.5, 1.5, shape) for part in ("weight", "running_var")}
            arrays[f"{name}.num_batches_tracked"] = np.array(3)
        else:
            arrays[name] = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
    return {name: np.asarray(a, np.float32) for name, a in arrays.items()}
