"""Optimizer and learning-rate schedules. The schedule's only state is the optimizer's step count."""

import math

import keras
from keras import ops


class SGD(keras.optimizers.SGD):
    """Nesterov SGD with the papers' weight decay: an L2 gradient that the momentum carries, on kernels only.

    Keras' own `weight_decay` shrinks the weights beside the momentum, which at momentum 0.9 is ten times weaker.

    Args:
        learning_rate, momentum: as in `keras.optimizers.SGD`.
        l2: weight decay, as in He et al. 2015 and PyTorch.
        factors: path of a variable -> factor of its learning rate, where that is not 1.
    """

    def __init__(self, learning_rate, momentum=0.9, l2=0.0, factors=None, name="sgd"):
        super().__init__(learning_rate, momentum=momentum, nesterov=momentum > 0, name=name)
        self.l2, self.factors = l2, factors or {}

    def update_step(self, gradient, variable, learning_rate):
        if self.l2 and decays(variable):
            gradient = ops.add(gradient, ops.multiply(variable, self.l2))
        if self.factors:  # the variable comes as TensorFlow's, which has no path
            path = self._trainable_variables[self._get_variable_index(variable)].path
            learning_rate = learning_rate * self.factors.get(path, 1.0)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        config = super().get_config()
        return {k: config[k] for k in ("learning_rate", "momentum", "name")} | {"l2": self.l2, "factors": self.factors}


def decays(variable):
    """Whether weight decay holds for a variable: for kernels, not for norms' scales and offsets and biases."""
    return len(variable.shape) > 1


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up, then one of three ways down, as a function of the step alone.

    Args:
        kind: `"cosine"` (Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983), `"one_cycle"` (linear down to
            0; Smith & Topin 2017, https://arxiv.org/abs/1708.07120) or `"steps"` (a tenth at each part of `decay_at`).
        peak: the highest learning rate.
        steps: of the whole training.
        warmup: part of the training in which the rate rises linearly from 0.
        decay_at: parts of the training, for `"steps"`.
    """

    def __init__(self, kind, peak, steps, warmup=0.0, decay_at=()):
        self.kind, self.peak, self.steps, self.warmup, self.decay_at = kind, peak, steps, warmup, tuple(decay_at)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = self.warmup * self.steps
        # Step counts from 0: the first update is one step up, not a lost one at 0.
        up = ops.minimum(1.0, (step + 1.0) / max(rising, 1.0))
        part = ops.clip((step - rising) / max(self.steps - rising, 1.0), 0.0, 1.0)
        if self.kind == "cosine":
            down = 0.5 * (1.0 + ops.cos(math.pi * part))
        elif self.kind == "one_cycle":
            down = 1.0 - part
        else:
            passed = sum(ops.cast(step >= at * self.steps, "float32") for at in self.decay_at)
            down = ops.power(0.1, passed)
        return self.peak * up * down

    def get_config(self):
        return {k: getattr(self, k) for k in ("kind", "peak", "steps", "warmup", "decay_at")}


def make_optimizer(recipe, steps, mixed_float16=False, factors=None):
    """Returns a recipe's optimizer for a training of `steps` steps, with dynamic loss scaling for float16.

    `factors` are `SGD`'s.
    """
    schedule = Schedule(recipe.schedule, recipe.learning_rate, steps, recipe.warmup, recipe.decay_parts)
    optimizer = SGD(schedule, recipe.momentum, recipe.weight_decay, factors)
    return keras.optimizers.LossScaleOptimizer(optimizer) if mixed_float16 else optimizer
