"""Weights of other projects in this project's networks: keras.applications', torchvision's and timm's.

What those projects do to a picture first becomes `ResNet(pixel_mean=…)`, a subtraction before the padding; their
division by a deviation and their order of colours go into the first kernel. The contract's picture stays the input.
"""

import pathlib
import re

import keras
import numpy as np

from keras_resnet import origins
from keras_resnet.depths import IMAGENET
from keras_resnet.networks.resnet import ResNet

# Of ImageNet's training pictures, RGB, in 0 to 255; torchvision's and timm's rounded to thousandths of 0 to 1.
CAFFE_MEAN = (123.68, 116.779, 103.939)
TORCH_MEAN = tuple(255 * mean for mean in (0.485, 0.456, 0.406))
TORCH_DEVIATION = tuple(255 * deviation for deviation in (0.229, 0.224, 0.225))
EPSILON = 1e-5  # of our norms, and PyTorch's
KERAS_EPSILON = 1.001e-5
BIASED = ("conv", "conv1", "conv2", "conv3")


class ZooError(ValueError):
    """Weights that can't be had, or that belong to another network; the message says what would do."""


def from_keras_applications(name, folder=""):
    """A ResNet of keras.applications with its ImageNet weights, which Keras downloads and keeps in `~/.keras/models`.

    Args:
        name: as `resnet50` or `resnet50v2`, of `origins.KERAS`.
        folder: where the file of weights, under Keras' own name for it, is looked for first.

    Raises:
        ZooError: its weights can't be had.
    """
    file = pathlib.Path(folder) / f"{name}_weights_tf_dim_ordering_tf_kernels.h5"
    make = getattr(keras.applications, name.replace("resnet", "ResNet").replace("v2", "V2"))
    try:
        theirs = make(weights=str(file) if file.exists() else "imagenet", classifier_activation=None)
    except Exception as error:  # of many kinds: the network's, the file's
        raise ZooError(
            f"keras:{name}: its weights can't be had ({str(error).splitlines()[0]}); on a machine without a network "
            f"put {file.name}, from a machine that has one (~/.keras/models), into a folder, and give --data_dir=FOLDER"
        ) from None
    return convert_keras(theirs, *origins.KERAS[name])


def convert_keras(theirs, depth, version):
    """A network of keras.applications, of `include_top=True` and without a softmax, as one of ours.

    Its biases before norms go into the norms' means. The result takes pictures in [-1, 1), `pixel / 128 - 1`, and
    answers what `theirs` answers to `preprocess_input(pixels)` but for rounding.

    Args:
        theirs: `keras.Model`, built.
        depth, version: of it; version 1 was trained on blue, green and red less their means, version 2 on [-1, 1].
    """
    how = {"pixel_mean": CAFFE_MEAN, "stride_conv": "1x1"}
    if version == 2:
        how = {"pixel_mean": (127.5,) * 3, "stride_block": "last", "stem_bias": True, "version": 2}
    ours = ResNet(depth, theirs.input_shape[1:], theirs.output_shape[-1], padding="symmetric", stem="imagenet", **how)
    found = {_our_name(layer.name, version): layer.get_weights() for layer in theirs.layers if layer.weights}
    biases = {name: found[name].pop() for name in found if name.endswith(BIASED) and len(found[name]) == 2}
    if version == 2:
        found["stem_conv"] = [found["stem_conv"][0] * (128 / 127.5), biases["stem_conv"]]
    else:
        found["stem_conv"] = [found["stem_conv"][0][:, :, ::-1] * 128]  # from blue, green, red
    shifts = _shifts(biases, depth, version)
    for name in found:
        if "norm" in name:
            gamma, beta, mean, variance = found[name]
            found[name] = [gamma, beta, mean - shifts.get(name, 0), variance + (KERAS_EPSILON - EPSILON)]
    return _filled(ours, found)


def _shifts(biases, depth, version):
    """What keras.applications' biases add to what our norms see: name -> array (channels,).

    In version 1 a norm stands behind each of them. In version 2 the path from addition to addition collects them.
    """
    if version == 1:
        return {name.replace("conv", "norm"): bias for name, bias in biases.items()}
    shifts, path = {}, 0.0
    for stage, repeats in enumerate(IMAGENET[depth].repeats, 2):
        for block in (f"stage{stage}_block{i}" for i in range(1, repeats + 1)):
            shifts[f"{block}_norm1"] = path
            path = biases.get(f"{block}_shortcut_conv", path) + biases[f"{block}_conv3"]
    return {**shifts, "head_norm": path}


def _our_name(theirs, version):
    """Our name of a layer of keras.applications."""
    fixed = {"conv1_conv": "stem_conv", "conv1_bn": "stem_norm", "post_bn": "head_norm", "predictions": "logits"}
    if theirs in fixed:
        return fixed[theirs]
    stage, block, role = theirs.split("_", 2)
    if version == 2:
        roles = {"preact_bn": "norm1", "1_bn": "norm2", "2_bn": "norm3"}
    else:
        roles = {"0_bn": "shortcut_norm", "1_bn": "norm1", "2_bn": "norm2", "3_bn": "norm3"}
    roles |= {"0_conv": "shortcut_conv", "1_conv": "conv1", "2_conv": "conv2", "3_conv": "conv3"}
    return f"stage{stage[4:]}_{block}_{roles[role]}"


def read_torch(path):
    """Reads a state dict of PyTorch: `.safetensors`, or `.pth` and `.pt`, of which only tensors are taken.

    Returns:
        dict: name -> float array.

    Raises:
        ZooError: the file can't be read, or what reads it is not installed.
    """
    path = pathlib.Path(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            found = load_file(path)
        else:
            import torch

            found = torch.load(path, map_location="cpu", weights_only=True)
            found = next((found[key] for key in ("state_dict", "model") if key in found), found)
            found = {name: tensor.float().numpy() for name, tensor in found.items()}
    except ImportError as error:
        raise ZooError(f"torch:{path}: {error.name} is not installed; pip install {error.name}") from None
    except Exception as error:  # of many kinds: the file's, the pickle's, a refusal to execute it
        raise ZooError(f"torch:{path}: it can't be read as a state dict ({str(error).splitlines()[0]})") from None
    return {name.removeprefix("module."): values for name, values in found.items()}


def from_torch(state, where="state dict"):
    """A ResNet-18 to -152 of torchvision or timm as one of ours; see `convert_keras`.

    Args:
        state: dict, name -> array, as `read_torch` gives it. ImageNet's mean and deviation are taken for its pictures'.
        where: the name by which errors call it.

    Raises:
        ZooError: it is another network's.
    """
    state = {name: values for name, values in state.items() if not name.endswith("num_batches_tracked")}
    names = {_our_torch_name(name): name for name in state}
    try:
        depth = origins.torch_depth(state)
    except ValueError as error:
        raise ZooError(f"{where}: {error}") from None
    ours = ResNet(depth, num_classes=len(state["fc.weight"]), padding="symmetric", pixel_mean=TORCH_MEAN)
    found = {}
    for layer in ours.layers:
        if layer.weights:
            parts = ("weight", "bias", "running_mean", "running_var")[: len(layer.weights)]
            arrays = [state.pop(names.pop(f"{layer.name}.{part}", None), None) for part in parts]
            found[layer.name] = [_transposed(a) for a in arrays if a is not None]
    found["stem_conv"] = [found["stem_conv"][0] * (128 / np.array(TORCH_DEVIATION, np.float32))[:, None]]
    if state:
        raise ZooError(f"{where}: {', '.join(sorted(state)[:3])} have no place in a ResNet-{depth}")
    return _filled(ours, found, where)


def _our_torch_name(theirs):
    """`stage2_block1_conv1.weight` of `layer1.0.conv1.weight`; None for what a ResNet does not have."""
    name, _, part = theirs.rpartition(".")
    fixed = {"conv1": "stem_conv", "bn1": "stem_norm", "fc": "logits"}
    if name in fixed:
        return f"{fixed[name]}.{part}"
    found = re.fullmatch(r"layer([1-4])\.(\d+)\.(?:(conv|bn)([1-3])|downsample\.([01]))", name)
    if not found:
        return None
    stage, block, kind, number, shortcut = found.groups()
    role = f"shortcut_{'conv' if shortcut == '0' else 'norm'}" if shortcut else f"{kind.replace('bn', 'norm')}{number}"
    return f"stage{int(stage) + 1}_block{int(block) + 1}_{role}.{part}"


def _transposed(array):
    """From PyTorch's order of axes, filters first, to Keras', filters last."""
    array = np.asarray(array, np.float32)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _filled(model, arrays, where="weights"):
    """A model with weights given by layer: name -> arrays."""
    for layer in model.layers:
        if not layer.weights:
            continue
        expected, got = ([tuple(a.shape) for a in of] for of in (layer.weights, arrays[layer.name]))
        if expected != got:
            raise ZooError(f"{where}: {layer.name} has {got}, a {model.name} has {expected}; it is another network's")
        layer.set_weights(arrays[layer.name])
    return model
