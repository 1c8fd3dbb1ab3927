"""The optimizer against its formula, step by step in NumPy; the schedules against values worked out by hand."""

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.recipes import RECIPES, Recipe
from keras_resnet.training.optimization import SGD, Schedule, make_optimizer


class SGDTest(tf.test.TestCase):
    def test_nesterov_with_l2_in_the_gradient(self):
        # torch.optim.SGD(nesterov=True, weight_decay=...): g += l2 * w; v = m * v + g; w -= lr * (g + m * v).
        rng = np.random.default_rng(0)
        w, lr, m, l2 = rng.normal(size=(3, 4)), 0.1, 0.9, 0.01
        variable, optimizer = keras.Variable(w, name="kernel"), SGD(lr, m, l2)
        v = np.zeros_like(w)
        for _ in range(5):
            gradient = rng.normal(size=w.shape)
            optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
            g = gradient + l2 * w
            v = m * v + g
            w = w - lr * (g + m * v)
            self.assertAllClose(variable, w, 1e-5, 1e-6)

    def test_norms_and_biases_do_not_decay(self):
        variables = [keras.Variable(np.ones(shape)) for shape in ((3, 3, 2, 2), (2, 2), (2,))]
        optimizer = SGD(0.1, 0.0, 0.5)
        optimizer.apply([tf.zeros(v.shape) for v in variables], variables)
        self.assertAllClose([float(np.ravel(v)[0]) for v in variables], [0.95, 0.95, 1.0])

    def test_loss_scaling_for_float16_only(self):
        recipe = Recipe()
        self.assertIsInstance(make_optimizer(recipe, 10), SGD)
        self.assertIsInstance(make_optimizer(recipe, 10, mixed_float16=True), keras.optimizers.LossScaleOptimizer)


class ScheduleTest(tf.test.TestCase):
    def at(self, schedule, *steps):
        return [float(schedule(step)) for step in steps]

    def test_cosine(self):
        schedule = Schedule("cosine", 0.4, 1000, warmup=0.1)
        # Half way up; peak; half way down; a sixth of the way: 0.4 * (1 + cos 30°) / 2; the end.
        expected = [0.2, 0.4, 0.2, 0.373205, 0.0]
        self.assertAllClose(self.at(schedule, 49, 100, 550, 250, 1000), expected, 1e-5, 1e-6)

    def test_one_cycle(self):
        schedule = Schedule("one_cycle", 0.4, 1000, warmup=0.2)
        self.assertAllClose(self.at(schedule, 0, 99, 200, 600, 1000), [0.002, 0.2, 0.4, 0.2, 0.0], 1e-5, 1e-6)

    def test_steps_of_the_paper(self):
        # 64,000 steps, a tenth at 32,000 and at 48,000.
        recipe = RECIPES["cifar10"]
        schedule = Schedule(recipe.schedule, recipe.learning_rate, 64_000, recipe.warmup, recipe.decay_parts)
        values = self.at(schedule, 0, 31_999, 32_000, 47_999, 48_000, 63_999)
        self.assertAllClose(values, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001])

    def test_state_is_the_step_alone(self):
        optimizer = make_optimizer(RECIPES["digits"], 100)
        variable = keras.Variable(np.ones((2, 2)))
        for _ in range(7):
            optimizer.apply([tf.zeros((2, 2))], [variable])
        self.assertAllClose(optimizer.learning_rate, optimizer._learning_rate(7))
        self.assertAllClose(optimizer.get_config()["l2"], RECIPES["digits"].weight_decay)


if __name__ == "__main__":
    tf.test.main()
