"""Which layers stay as they are, and how fast the others learn, by their place in the network.

Places are the blocks of `ResNet`, told by the layers' names: `stem`, `stage2_block1` … A layer of another name, as the
last norm of version 2, belongs to the place before the last layer; of a detector, to the head.
"""

import math
import re

from keras_resnet import runs
from keras_resnet.networks.transfer import split

RANGES = 200.0  # times the weights' learning rate: so slow as int8-aware training is, ranges would hardly move
STAGES = ("stem", "stage2", "stage3", "stage4", "stage5")


def places(model):
    """Name of a layer with weights -> its place, in the order of computation; the last layer's is `head`."""
    found = {}
    for layer in model.layers:
        if layer.weights:
            place = re.match(r"stem(?=_)|stage\d+_block\d+(?=_)", layer.name)
            found[layer.name] = place[0] if place else "end"
    if len(model.outputs) > 1 or len(model.outputs[0].shape) > 2:  # a pyramid learns as its heads do
        return {name: "head" if place == "end" else place for name, place in found.items()}
    return {**found, split(model)[1].name: "head"}


def frozen(model, recipe, epoch):
    """Names of the layers that keep their weights in an epoch, from 0.

    Gradual unfreezing as in Howard & Ruder 2018, https://arxiv.org/abs/1801.06146, stage by stage: the last one first.

    Raises:
        RunError: `freeze` names a stage that the network does not have.
    """
    if recipe.freeze == "none":
        return set()
    found = places(model)
    has = {place.split("_")[0] for place in found.values()}
    stages = [stage for stage in STAGES if stage in has]
    if recipe.freeze == "all":
        kept = [*stages, *has & {"end"}]
    elif recipe.freeze in stages:
        kept = stages[: stages.index(recipe.freeze) + 1]
    else:
        said = f"it has {', '.join(stages)}" if stages else "its layers have other names than ResNet's"
        raise runs.RunError(f"--freeze={recipe.freeze}: {model.name} has no such stage ({said}); give --freeze=all")
    if recipe.unfreeze:
        steps = recipe.unfreeze * recipe.ends[0] / len(kept)
        kept = kept[: max(0, len(kept) - math.floor(epoch / steps + 1e-9))] if steps else []
    return {name for name, place in found.items() if place.split("_")[0] in kept}


def settled(recipe, epoch):
    """Whether the norms of an int8-aware training stay in an epoch, from 0: in its last third, and when extended."""
    return recipe.norms == "folded" or epoch >= max(1, 2 * recipe.ends[0] // 3)


def factors(model, recipe):
    """Path of a variable -> factor of its learning rate; 1 where none is given.

    `layer_decay` as in timm, block by block (Clark et al. 2020, https://arxiv.org/abs/2003.10555). Ranges that are
    learned, which only int8-aware trainings have, have `RANGES`.

    Raises:
        RunError: `layer_decay` is given, and the network has no blocks that are known by name.
    """
    if recipe.ranges == "learned":
        ranges = [weight.path for weight in model.trainable_weights if weight.path.endswith(("growth", "kernel_range"))]
        return dict.fromkeys(ranges, RANGES)
    if recipe.layer_decay == 1 and not recipe.head_learning_rate:
        return {}
    found = places(model)
    if recipe.layer_decay != 1 and not {*found.values()} - {"end", "head"}:
        raise runs.RunError(
            f"--layer_decay={recipe.layer_decay}: layers of {model.name} have other names than ResNet's"
        )
    order = [place for place in dict.fromkeys(found.values()) if place != "head"]
    rates = {place: recipe.layer_decay ** (len(order) - i) for i, place in enumerate(order)}
    rates["head"] = recipe.head_learning_rate / recipe.learning_rate if recipe.head_learning_rate else 1.0
    return {
        variable.path: rates[found[layer.name]]
        for layer in model.layers
        if layer.name in found
        for variable in layer.weights
        if rates[found[layer.name]] != 1
    }
