"""The training twin's norms against Keras' own."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import ResNet, recipes
from keras_resnet.data.decoding import normalize
from keras_resnet.networks import prediction
from keras_resnet.networks.convolution import SubsampledConv2D
from keras_resnet.networks.weights import copy_weights
from keras_resnet.quantization.quantizer import quantize_aware
from keras_resnet.tasks.losses import classification
from keras_resnet.training import distillation, optimization
from keras_resnet.training.normalization import FusedBatchNormalization, from_pixels, training_twin


def images(n=8):
    return np.random.default_rng(0).uniform(-1, 1, (n, 32, 32, 3)).astype("float32")


class FusedTest(tf.test.TestCase):
    def pair(self, dtype, **options):
        layers = [kind(momentum=0.9, epsilon=1e-5, dtype=dtype, **options)
                  for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)]  # fmt: skip
        for layer in layers:
            layer.build((None, 6, 6, 5))
            for i, weight in enumerate(layer.weights):
                weight.assign(np.linspace(0.5 + i, 1.5 + i, 5))
        return layers

    def both(self, layer, x, training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
        gradients = tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])
        return [tf.cast(t, tf.float32) for t in (y, *gradients)], [w.numpy() for w in layer.non_trainable_weights]

    def test_equals_keras(self):
        for options in ({}, {"scale": False}, {"center": False}):
            for dtype, tolerance in (("float32", 1e-4), ("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)):
                for training in (True, False):
                    with self.subTest(dtype=dtype, training=training, **options):
                        stock, fused = self.pair(dtype, **options)
                        x = tf.constant(np.random.default_rng(1).normal(2, 3, (4, 6, 6, 5)), stock.compute_dtype)
                        outputs, statistics = self.both(stock, x, training)
                        fused_outputs, fused_statistics = self.both(fused, x, training)
                        for one, other in zip(outputs, fused_outputs, strict=True):
                            self.assertAllClose(one, other, tolerance, tolerance * float(tf.reduce_max(tf.abs(one))))
                        # Moving statistics in particular: the kernel's own variance is n/(n-1) of Keras'.
                        statistics_tolerance = 1e-5 if dtype == "float32" else tolerance
                        for one, other in zip(statistics, fused_statistics, strict=True):
                            self.assertAllClose(one, other, statistics_tolerance, statistics_tolerance)

    def test_frozen_norm_keeps_its_statistics(self):
        _, fused = self.pair("float32")
        fused.trainable = False
        before = [w.numpy() for w in fused.weights]
        x = tf.constant(np.random.default_rng(1).normal(size=(4, 6, 6, 5)), tf.float32)
        self.assertAllClose(fused(x, training=True), fused(x, training=False))
        self.assertAllEqual(before, [w.numpy() for w in fused.weights])


class TwinTest(tf.test.TestCase):
    def test_same_answers_and_way_back(self):
        model = ResNet(8, (32, 32, 3), 10)
        twin = training_twin(model, "fused")
        self.assertAllClose(model(images()), twin(images()), 1e-5, 1e-5)
        kinds = {type(layer) for layer in twin.layers}
        self.assertIn(FusedBatchNormalization, kinds)
        self.assertNotIn(keras.layers.BatchNormalization, kinds)
        twin(images(), training=True)
        self.assertNotAllClose(model(images()), twin(images()), 1e-3, 1e-3)
        copy_weights(twin, model)
        self.assertAllClose(model(images()), twin(images()), 1e-5, 1e-5)

    def test_saved_model_needs_no_code_of_ours(self):
        model = ResNet(8, (32, 32, 3), 10)
        modules = {type(layer).__module__.split(".")[0] for layer in model.layers}
        self.assertEqual(modules, {"keras"})

    def test_precision_leaves_logits_alone(self):
        twin = training_twin(ResNet(8, (32, 32, 3), 10), "stock", "mixed_bfloat16")
        self.assertEqual(twin.get_layer("stem_conv").compute_dtype, "bfloat16")
        self.assertEqual(twin.get_layer("stem_conv").kernel.dtype, "float32")
        self.assertEqual(twin(images()).dtype, tf.float32)

    def test_quantized_network_stays_float32(self):
        quantized = quantize_aware(ResNet(8, (32, 32, 3), 10, width=0.25), images())
        twin = training_twin(quantized, "stock", "mixed_bfloat16")
        self.assertEqual({layer.compute_dtype for layer in twin.layers}, {"float32"})
        self.assertAllEqual(quantized(images()), twin(images()))

    def test_pixels_train_to_the_same_bits(self):
        pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3)).astype("uint8")
        for precision in ("float32", "mixed_bfloat16"):
            model, ends = ResNet(8, (32, 32, 3), 10, width=0.5), []
            for make, batch in ((lambda twin: twin, normalize(pixels)), (from_pixels, pixels)):
                twin = training_twin(model, "fused", precision)
                learner = distillation.Student(make(twin), [make(training_twin(model, "fused", precision))])
                learner.compile(optimization.make_optimizer(recipes.Recipe(), 100), classification(), jit_compile=False)
                losses = [learner.train_on_batch(batch, np.arange(16) % 10) for _ in range(3)]
                self.assertEqual([w.path for w in learner.weights], [w.path for w in model.weights])
                ends.append([losses, prediction.predictor(learner)(tf.constant(batch)), *twin.get_weights()])
            for one, other in zip(*ends, strict=True):
                self.assertAllEqual(one, other)

    def test_synchronized(self):
        twin = training_twin(ResNet(8, (32, 32, 3), 10), "synchronized")
        norms = [layer for layer in twin.layers if isinstance(layer, keras.layers.BatchNormalization)]
        self.assertLen(norms, 9)
        self.assertTrue(all(layer.synchronized for layer in norms))

    def test_narrow_convolutions_with_strides_have_their_gradient(self):
        script = pathlib.Path(__file__).with_name("narrow_steps.py")
        process = subprocess.run([sys.executable, script], stderr=subprocess.PIPE, text=True, timeout=500)
        self.assertEqual(process.returncode, 0, process.stderr[-2000:])

    def test_narrow_twin_has_the_same_answers_and_weights(self):
        model = ResNet(8, (32, 32, 3), 10, width=0.25)
        twin = training_twin(model, "fused")
        self.assertIsInstance(twin.get_layer("stage3_block1_shortcut_conv"), SubsampledConv2D)
        self.assertAllClose(model(images()), twin(images()), 1e-5, 1e-5)
        self.assertEqual([w.path for w in model.weights], [w.path for w in twin.weights])
        wide = training_twin(ResNet(8, (32, 32, 3), 10), "fused")  # where nothing is wrong nothing changes
        self.assertNotIn(SubsampledConv2D, {type(layer) for layer in wide.layers})


if __name__ == "__main__":
    tf.test.main()
