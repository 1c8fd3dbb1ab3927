"""The optimizer against its formula, step by step in NumPy; the schedules against values worked out by hand."""

import dataclasses
import math

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
        variable, optimizer = keras.Variable(w, name="kernel"), SGD(lr, m, nesterov=True)
        optimizer.decay = l2
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
        optimizer = SGD(0.1)
        optimizer.decay = 0.5
        optimizer.apply([tf.zeros(v.shape) for v in variables], variables)
        self.assertAllClose([float(np.ravel(v)[0]) for v in variables], [0.95, 0.95, 1.0])

    def test_clipping_is_by_the_whole_gradients_norm(self):
        variables = [keras.Variable(np.zeros((1,))), keras.Variable(np.zeros((1,)))]
        optimizer = make_optimizer(Recipe(learning_rate=1.0, momentum=0.0, clip=1.0), 10)
        optimizer._learning_rate, optimizer.norm = lambda step=0: 1.0, tf.Variable(0.0)
        optimizer.apply([tf.constant([3.0]), tf.constant([4.0])], variables)
        self.assertAllClose(optimizer.norm, 5.0)
        self.assertAllClose([v.numpy()[0] for v in variables], [-0.6, -0.8])
        optimizer.apply([tf.constant([0.3]), tf.constant([0.4])], variables)  # short enough
        self.assertAllClose([v.numpy()[0] for v in variables], [-0.9, -1.2])

    def test_accumulated_batches_are_one(self):
        recipe = Recipe(schedule="cosine", learning_rate=0.3, weight_decay=0.1, clip=0.5)
        rng, start = np.random.default_rng(0), np.ones((2, 3), "float32")
        one, many = (keras.Variable(start) for _ in range(2))
        whole = make_optimizer(recipe, 5)
        parts = make_optimizer(dataclasses.replace(recipe, accumulate=3), 15)
        for _ in range(5):
            gradients = rng.normal(size=(3, 2, 3)).astype("float32")
            whole.apply([tf.constant(gradients.mean(0))], [one])
            for gradient in gradients:
                parts.apply([tf.constant(gradient)], [many])
        self.assertGreater(np.abs(one.numpy() - start).max(), 0.1)
        self.assertAllClose(one, many, 1e-5, 1e-6)

    def test_batches_that_are_skipped_count_where_batches_are_accumulated(self):
        recipe = Recipe(momentum=0.0, weight_decay=0.0, schedule="cosine", warmup=0.0, learning_rate=0.5)
        for many in (1, 2):
            optimizer = make_optimizer(dataclasses.replace(recipe, accumulate=many), 10, mixed_float16=True)
            weight, moved = keras.Variable([1.0]), []
            optimizer.build([weight])
            for batch in range(10):
                scale = float(optimizer.dynamic_scale)
                optimizer.apply([tf.constant([np.inf if batch in (2, 4, 5) else scale])], [weight])
                moved.append(round(float(weight.numpy()[0]), 5))
            self.assertEqual(int(optimizer.inner_optimizer._iterations), 10)
            self.assertEqual(float(optimizer.dynamic_scale), 2**15 / 8)
            if many == 2:  # the second window has one batch, the third none
                rates = [0.5 * 0.5 * (1 + math.cos(math.pi * step / 5)) for step in range(5)]
                parts = np.multiply(rates, [1, 0.5, 0, 1, 1])
                self.assertAllClose(moved[1::2], 1 - np.cumsum(parts), atol=1e-4)

    def test_momentum_is_nesterovs(self):
        for momentum in (0.0, 0.8):
            made = make_optimizer(Recipe(momentum=momentum), 10)
            self.assertEqual((made.momentum, made.nesterov), (momentum, momentum > 0))

    def test_muon_leaves_tables_to_adamw(self):
        muon = make_optimizer(Recipe(optimizer="muon", learning_rate=0.02), 10, head="logits")
        table, head, kernel = (keras.Variable(np.ones((3, 2)), name="w") for _ in range(3))
        for variable, path in ((table, "words/embeddings"), (head, "logits/kernel"), (kernel, "conv/kernel")):
            variable._path = path
        self.assertEqual([muon._should_use_adamw(v) for v in (table, head, kernel)], [True, True, False])

    def test_loss_scaling_for_float16_only(self):
        recipe, moved = Recipe(weight_decay=0.1, clip=0.5), []
        self.assertIsInstance(make_optimizer(recipe, 10), SGD)
        self.assertIsInstance(make_optimizer(recipe, 10, mixed_float16=True), keras.optimizers.LossScaleOptimizer)
        for float16 in (False, True):
            optimizer = make_optimizer(recipe, 10, float16, factors={"kernel": 0.5})
            kernel = keras.Variable(np.ones((2, 2)), name="kernel")
            optimizer.build([kernel])
            optimizer.apply([tf.fill((2, 2), float(optimizer.dynamic_scale) if float16 else 1.0)], [kernel])
            moved.append(1 - kernel.numpy())
        self.assertGreater(moved[0].min(), 1e-4)
        self.assertAllClose(*moved, 1e-6)


class PapersTest(tf.test.TestCase):
    """Each optimizer against its paper's formula, written out in NumPy: a kernel, which decays, and a bias."""

    def compare(self, name, formula, rate=0.02, decay=0.1):
        """Kernel and bias at one rate, and the kernel at half of it, as `layer_decay` asks for."""
        for factor in (1.0, 0.5):
            self.follow(name, formula, rate, decay, factor)

    def follow(self, name, formula, rate, decay, factor):
        rng = np.random.default_rng(0)
        recipe = Recipe(optimizer=name, learning_rate=rate, weight_decay=decay, schedule="steps", decay_at="0.99")
        optimizer = make_optimizer(recipe, 1000, factors={"kernel": factor})
        start = [rng.normal(size=shape).astype("float32") for shape in ((3, 3, 2, 4), (4,))]
        variables = [keras.Variable(w, name=("kernel", "bias")[i]) for i, w in enumerate(start)]
        expected, states = [w.astype(np.float64) for w in start], [{}, {}]
        for step in range(1, 5):
            gradients = [rng.normal(size=w.shape).astype("float32") for w in start]
            optimizer.apply([tf.constant(g) for g in gradients], variables)
            expected = [
                formula(w, g.astype(np.float64), *((rate * factor, decay) if w.ndim > 1 else (rate, 0.0)), state, step)
                for w, g, state in zip(expected, gradients, states, strict=True)
            ]
        for variable, w, begun in zip(variables, expected, start, strict=True):
            self.assertGreater(np.abs(w - begun).max(), 0.01)
            self.assertAllClose(variable, w, 1e-4, 1e-5)

    def adam(self, g, state, step):
        state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
        state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
        return state["m"] / (1 - 0.9**step) / (np.sqrt(state["v"] / (1 - 0.999**step)) + 1e-7)

    def test_adamw(self):
        self.compare("adamw", lambda w, g, lr, decay, s, t: w - lr * (self.adam(g, s, t) + decay * w))

    def test_lamb(self):
        def formula(w, g, lr, decay, state, step):
            update = self.adam(g, state, step) + decay * w
            return w - lr * update * (np.linalg.norm(w) / np.linalg.norm(update) if decay else 1)

        self.compare("lamb", formula)

    def test_lion(self):
        def formula(w, g, lr, decay, state, step):
            m = state.get("m", 0)
            state["m"] = 0.99 * m + 0.01 * g
            return w - lr * (np.sign(0.9 * m + 0.1 * g) + decay * w)

        self.compare("lion", formula)

    def test_muon(self):
        """Kernels as matrices of (rows x columns x channels, filters), by five steps of Newton and Schulz."""

        def formula(w, g, lr, decay, state, step):
            if w.ndim == 1:
                return w - lr * self.adam(g, state, step)
            state["m"] = 0.95 * state.get("m", 0) + g
            x = (g + 0.95 * state["m"]).reshape(-1, 4).T
            x = x / np.linalg.norm(x)
            for _ in range(5):
                a = x @ x.T
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
            self.assertAllInRange(np.linalg.svd(x)[1], 0.5, 1.3)  # nearly orthogonal
            return w * (1 - lr * decay) - lr * 0.2 * np.sqrt(18) * x.T.reshape(w.shape)

        self.compare("muon", formula)

    def test_muon_leaves_the_last_layer_to_adamw(self):
        optimizer = make_optimizer(Recipe(optimizer="muon"), 10, head="logits")
        with keras.name_scope("logits"):
            head = keras.Variable(np.ones((4, 2)), name="kernel")
        body = keras.Variable(np.ones((4, 2)), name="kernel")
        self.assertTrue(optimizer._should_use_adamw(head))
        self.assertFalse(optimizer._should_use_adamw(body))


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

    def test_an_extended_schedule_begins_anew_at_a_tenth(self):
        schedule = Schedule("one_cycle", 0.4, 1500, warmup=0.2, restarts=(1000,))
        # 1,000 steps as they were; then 500, of which 100 rise to 0.04.
        values = self.at(schedule, 99, 200, 999, 1049, 1100, 1300, 1500)
        self.assertAllClose(values, [0.2, 0.4, 0.0005, 0.02, 0.04, 0.02, 0.0], 1e-5, 1e-6)
        recipe = dataclasses.replace(RECIPES["cifar10_fast"], epochs=96, extends="64,80", warmup=0.0)
        schedule = make_optimizer(recipe, 9600)._learning_rate
        self.assertAllClose(self.at(schedule, 0, 6400, 8000, 8800), [0.15, 0.015, 0.015, 0.0075], 1e-3)
        schedule = make_optimizer(dataclasses.replace(recipe, accumulate=4), 9600)._learning_rate
        self.assertAllClose(self.at(schedule, 0, 6400, 8000, 8800), [0.15, 0.015, 0.015, 0.0075], 1e-3)

    def test_state_is_the_step_alone(self):
        optimizer = make_optimizer(RECIPES["digits"], 100)
        variable = keras.Variable(np.ones((2, 2)))
        for _ in range(7):
            optimizer.apply([tf.zeros((2, 2))], [variable])
        self.assertAllClose(optimizer.learning_rate, optimizer._learning_rate(7))
        self.assertAllClose(optimizer.decay, RECIPES["digits"].weight_decay)


if __name__ == "__main__":
    tf.test.main()
