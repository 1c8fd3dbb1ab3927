"""Optimizers and learning-rate schedules. The schedule's only state is the optimizer's step count."""

import itertools
import math

import keras
import tensorflow as tf
from keras import ops


class Grouped:
    """What all optimizers here do alike, before Keras' own update of a variable.

    Weight decay holds for kernels only, and shrinks them beside the update, in proportion to the learning rate
    (Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101), where `decay_in_gradient` is not set. Clipping is by
    the norm of the whole gradient, after the replicas' are added: Keras clips each replica's.

    Attributes:
        decay: weight decay.
        factors: path of a variable -> factor of its learning rate, where that is not 1.
        clip: largest norm of the gradient; 0 for any.
        norm: variable that gets the norm of each step's gradient, before it is clipped; None for none.
    """

    decay, factors, clip, decay_in_gradient, norm = 0.0, {}, 0.0, False, None

    def rate(self, variable, learning_rate):
        """The learning rate of a variable, which comes as TensorFlow's and has no path."""
        if not self.factors:
            return learning_rate
        return learning_rate * self.factors.get(self._trainable_variables[self._get_variable_index(variable)].path, 1.0)

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = self.rate(variable, learning_rate)
        if self.decay and decays(variable):
            if self.decay_in_gradient:
                gradient = ops.add(gradient, ops.multiply(variable, self.decay))
            else:
                self.assign_sub(variable, ops.multiply(variable, learning_rate * self.decay))
        super().update_step(gradient, variable, learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        reduced = super()._all_reduce_sum_gradients(grads_and_vars)
        if not self.clip and self.norm is None:
            return reduced
        gradients = [gradient for gradient, _ in reduced]
        norm = tf.linalg.global_norm(gradients)
        if self.norm is not None:
            self.norm.assign(norm)
        if self.clip:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip, norm)
        return [(gradient, variable) for gradient, (_, variable) in zip(gradients, reduced, strict=True)]


class SGD(Grouped, keras.optimizers.SGD):
    """Nesterov SGD with the papers' weight decay: an L2 gradient that the momentum carries.

    Keras' own `weight_decay` shrinks the weights beside the momentum, which at momentum 0.9 is ten times weaker.
    """

    decay_in_gradient = True


class AdamW(Grouped, keras.optimizers.Adam):
    """Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101."""


class Lion(Grouped, keras.optimizers.Lion):
    """Chen et al. 2023, https://arxiv.org/abs/2302.06675."""


class Lamb(Grouped, keras.optimizers.Lamb):
    """You et al. 2019, https://arxiv.org/abs/1904.00962: Adam's update and the decay, as long as the weights.

    Keras' own leaves the decay out of that length. As in timm, what does not decay is not made longer or shorter.
    """

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        m, v, step = self._momentums[index], self._velocities[index], ops.cast(self.iterations + 1, "float32")
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        m_hat, v_hat = m / (1 - ops.power(self.beta_1, step)), v / (1 - ops.power(self.beta_2, step))
        update, ratio = m_hat / (ops.sqrt(v_hat) + self.epsilon), 1.0
        if self.decay and decays(variable):
            update = update + self.decay * variable
            lengths = [ops.sqrt(ops.sum(ops.square(v))) for v in (variable, update)]
            ratio = ops.where(lengths[0] * lengths[1] > 0, lengths[0] / lengths[1], 1.0)
        self.assign_sub(variable, self.rate(variable, learning_rate) * ratio * update)


class Muon(Grouped, keras.optimizers.Muon):
    """Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, with the scale of Liu et al. 2025.

    Keras' own orthogonalizes matrices only, and would leave convolutions to AdamW; here their kernels are matrices of
    (rows x columns x channels, filters). AdamW learns the last layer, tables of vectors, norms and biases.
    """

    def __init__(self, learning_rate, head="", **arguments):
        super().__init__(learning_rate, weight_decay=None, adam_weight_decay=None, **arguments)
        self.head = head

    def _should_use_adamw(self, variable):
        path = variable.path if hasattr(variable, "path") else ""
        is_head = bool(self.head) and path.startswith(f"{self.head}/")
        return not decays(variable) or is_head or path.endswith("/embeddings")

    def zeropower_via_newtonschulz5(self, x, steps):
        return super().zeropower_via_newtonschulz5(ops.reshape(x, (-1, x.shape[-1])), steps)

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, gradient + m * (self.momentum - 1))
        update = gradient + self.momentum * m if self.nesterov else m
        matrix = self.lr_adjust(lr * self.zeropower_via_newtonschulz5(update, self.ns_steps))
        self.assign_sub(variable, ops.reshape(matrix, variable.shape))


class LossScaled(keras.optimizers.LossScaleOptimizer):
    """Skips a step when any replica's gradient is not finite: Keras asks each of its own, before they are added."""

    def check_finite(self, grads):
        broken = 1.0 - ops.cast(super().check_finite(grads), "float32")
        return tf.equal(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, broken), 0.0)

    def apply(self, grads, trainable_variables=None):
        if self.inner_optimizer.gradient_accumulation_steps:  # a batch that is skipped is one of zeros, and counts
            finite = self.check_finite(grads)
            ops.cond(finite, lambda: None, super()._stateful_handle_non_finite_grads)
            grads = [g if g is None else ops.where(finite, g, ops.zeros_like(g)) for g in grads]
        return super().apply(grads, trainable_variables)

    def _stateful_handle_non_finite_grads(self):
        super()._stateful_handle_non_finite_grads()
        self.inner_optimizer._iterations.assign_add(1)  # the schedule goes on


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
        accumulate: batches to a step; Keras counts batches.
        restarts: steps at which all of it begins anew, at a tenth of the peak: where a finished training is extended.
    """

    def __init__(self, kind, peak, steps, warmup=0.0, decay_at=(), accumulate=1, restarts=()):
        self.kind, self.peak, self.steps, self.warmup, self.decay_at = kind, peak, steps, warmup, tuple(decay_at)
        self.accumulate, self.restarts = accumulate, tuple(restarts)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        if self.accumulate > 1:
            step = ops.floor(step / self.accumulate)
        ends = [*self.restarts, self.steps]
        rate = self._one(step, ends[0], self.peak)
        for begin, end in itertools.pairwise(ends):
            rate = ops.where(step >= begin, self._one(step - begin, end - begin, self.peak / 10), rate)
        return rate

    def _one(self, step, steps, peak):
        """The rate at a step of one training of `steps`."""
        rising = self.warmup * steps
        # Step counts from 0: the first update is one step up, not a lost one at 0.
        up = ops.minimum(1.0, (step + 1.0) / max(rising, 1.0))
        part = ops.clip((step - rising) / max(steps - rising, 1.0), 0.0, 1.0)
        if self.kind == "cosine":
            down = 0.5 * (1.0 + ops.cos(math.pi * part))
        elif self.kind == "one_cycle":
            down = 1.0 - part
        else:
            passed = sum(ops.cast(step >= at * steps, "float32") for at in self.decay_at)
            down = ops.power(0.1, passed)
        return peak * up * down

    def get_config(self):
        return {k: getattr(self, k) for k in ("kind", "peak", "steps", "warmup", "decay_at", "accumulate", "restarts")}


OPTIMIZERS = {"sgd": SGD, "adamw": AdamW, "lamb": Lamb, "lion": Lion, "muon": Muon}


def make_optimizer(recipe, steps, mixed_float16=False, factors=None, head="logits"):
    """Returns a recipe's optimizer for a training of `steps` steps, with dynamic loss scaling for float16.

    Args:
        recipe: `Recipe`.
        steps: batches of the whole training.
        mixed_float16: whether gradients are float16.
        factors: as in `Grouped`.
        head: name of the last layer.
    """
    many, parts = recipe.accumulate, recipe.decay_parts
    restarts = [end * steps // recipe.epochs // many for end in recipe.ends[:-1]]
    schedule = Schedule(recipe.schedule, recipe.learning_rate, steps // many, recipe.warmup, parts, many, restarts)
    how = {"gradient_accumulation_steps": many if many > 1 else None}
    if recipe.optimizer == "sgd":
        how |= {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0}
    if recipe.optimizer == "muon":
        how |= {"head": head}
    optimizer = OPTIMIZERS[recipe.optimizer](schedule, **how)
    optimizer.decay, optimizer.clip, optimizer.factors = recipe.weight_decay, recipe.clip, factors or {}
    return LossScaled(optimizer) if mixed_float16 else optimizer
