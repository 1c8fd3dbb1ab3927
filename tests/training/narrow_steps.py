"""Training steps and gradients of narrow networks; a process of its own, since TensorFlow may take it down.

python tests/training/narrow_steps.py
"""

import keras_resnet  # noqa: F401 (sets the environment)

if __name__ == "__main__":
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet import ResNet, recipes
    from keras_resnet.quantization.fake_quantization import QuantizedConv2D
    from keras_resnet.tasks.losses import classification
    from keras_resnet.training import normalization, optimization

    rng = np.random.default_rng(0)

    def check_gradient(layer, side, channels):
        """Holds the kernel gradient of a layer of sixteen 1x1 filters to the sum it is."""
        images = rng.normal(size=(4, side, side, channels)).astype("float32")
        image = keras.Input(images.shape[1:])
        twin = normalization.training_twin(keras.Model(image, layer(image)), "fused")
        errors = rng.normal(size=twin(images).shape).astype("float32")

        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(twin(images, training=True) * errors)
        gradient = tape.gradient(loss, twin.trainable_variables[0].value)

        rows, columns = layer.strides
        expected = np.tensordot(images[:, ::rows, ::columns], errors, ((0, 1, 2), (0, 1, 2)))
        np.testing.assert_allclose(gradient[0, 0], expected, atol=1e-4 * np.abs(expected).max(), err_msg=str(layer))

    for strides, side, channels in ((2, 16, 3), (2, 56, 3), (2, 56, 8), ((1, 2), 56, 7), (4, 56, 4)):
        settings = {"use_bias": False, "data_format": "channels_last"}
        check_gradient(keras.layers.Conv2D(16, 1, strides, **settings), side, channels)
        check_gradient(QuantizedConv2D(16, 1, strides, weight_bits=None, **settings), side, channels)

    for arguments in (
        {"depth": 8, "width": 0.5},
        {"depth": 8, "width": 0.2},
        {"depth": 18, "width": 0.125},
        {"depth": 20, "width": 0.5, "input_shape": (64, 64, 3), "stem": "small"},
    ):
        keras.utils.set_random_seed(0)
        twin = normalization.training_twin(ResNet(num_classes=5, **arguments), "fused")
        optimizer = optimization.make_optimizer(recipes.Recipe(learning_rate=0.01), 100)
        twin.compile(optimizer, classification(), jit_compile=False)
        images = rng.uniform(-1, 1, (4, *twin.input_shape[1:])).astype("float32")
        for _ in range(3):
            assert np.isfinite(twin.train_on_batch(images, np.arange(4))), arguments
