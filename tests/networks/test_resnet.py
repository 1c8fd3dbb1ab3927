"""Networks against the papers' and other projects' figures; `test_zoo` holds them to keras.applications' own."""

import math
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet import Layout, ResNet
from keras_resnet.networks.counting import multiplications

PAPER = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}  # torchvision's counts


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def randomize(model, seed=0):
    """Gives every weight, moving statistics too, a random value, so that no mistake hides behind a zero or a one."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.rsplit("/", 1)[1]
        if "kernel" in name:
            weight.assign(rng.normal(0, 1 / math.sqrt(math.prod(weight.shape[:-1])), weight.shape))
        elif name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 0.1, weight.shape))


class ParametersTest(tf.test.TestCase):
    def test_imagenet_family(self):
        for depth, count in PAPER.items():
            with self.subTest(depth=depth):
                self.assertEqual(trainable(ResNet(depth)), count)

    def test_cifar_family(self):
        # Table 6 of He et al. 2015, rounded there to hundredths of a million, with option A shortcuts.
        for depth, millions in {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}.items():
            with self.subTest(depth=depth):
                count = trainable(ResNet(depth, (32, 32, 3), 10, shortcut="A")) / 1e6
                self.assertAlmostEqual(count, millions, delta=0.005 if depth < 110 else 0.05)

    def test_mlperf_tiny_resnet8(self):
        # Its 78,666 count ten biases (346 values) too, and four values for each normed channel (960).
        kernels = [w for w in ResNet(8, (32, 32, 3), 10).weights if w.path.endswith("kernel")]
        self.assertEqual(sum(math.prod(w.shape) for w in kernels), 78_666 - 346 - 960)

    def test_timms_variants(self):
        # timm 1.0.31: resnet50d, resnet18d, seresnet50, resnetblur50.
        for depth, count, how in (
            (50, 25_576_264, {"stem": "deep", "shortcut": "pool"}),
            (18, 11_708_744, {"stem": "deep", "shortcut": "pool"}),
            (50, 28_088_024, {"se": 1 / 16}),
            (50, 25_557_032, {"blur": True}),
        ):
            with self.subTest(depth=depth, **how):
                self.assertEqual(trainable(ResNet(depth, **how)), count)

    def test_resnet_ds_stem_and_shortcut_by_hand(self):
        model = ResNet(8, (16, 16, 3), 10, stem="deep", shortcut="pool")
        randomize(model)
        stem = [model.get_layer(f"stem_conv{i}") for i in (1, 2, "")]
        self.assertEqual([(c.filters, c.strides) for c in stem], [(8, (2, 2)), (8, (1, 1)), (16, (1, 1))])
        shortcut = model.get_layer("stage3_block1_shortcut_conv")
        x, y = keras.Model(model.input, [model.get_layer("stage2_block1_relu").output, shortcut.output])(
            np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype("float32")
        )
        means = x.numpy().reshape(2, 2, 2, 2, 2, 16).mean((2, 4))  # of each 2x2 of the 4x4 pixels
        self.assertAllClose(y, means @ shortcut.kernel.numpy()[0, 0], 1e-5, 1e-5)

    def test_a_blur_is_a_fixed_low_pass(self):
        model = ResNet(8, (32, 32, 3), 10, blur=True)
        layer = model.get_layer("stage3_block1_conv1_blur")
        self.assertEmpty(layer.trainable_weights)
        flat = np.ones((1, 8, 8, 32), "float32")
        self.assertAllClose(layer(flat)[0, :3, :3], np.ones((3, 3, 32)))  # away from the padded edge
        stripes = np.tile(np.array([1.0, -1.0], "float32")[:, None], (1, 4, 4, 32)).reshape(1, 8, 4, 32)
        self.assertAllClose(layer(stripes)[0, :3, :1], np.zeros((3, 1, 32)), atol=1e-6)

    def test_a_blur_stands_behind_an_activation_and_before_a_shortcut(self):
        def order(prefix, **how):
            model = ResNet(8, (64, 64, 3), 10, blur=True, **how)
            names = [layer.name for layer in model.layers]
            assert all(
                max(layer.strides) == 1
                for layer in model.layers
                if type(layer) is keras.layers.Conv2D and layer.name != "stem_conv"
            )
            return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

        first = order("stage3_block1_", stem="small")
        self.assertEqual([n for n in first if "shortcut" not in n][:4], ["conv1", "norm1", "relu1", "conv1_blur"])
        self.assertLess(first.index("shortcut_blur"), first.index("shortcut_conv"))
        second = order("stage3_block1_", stem="small", version=2)
        self.assertEqual(
            [n for n in second if "2" in n or "conv1" in n], ["conv1", "norm2", "relu2", "conv1_blur", "conv2"]
        )
        self.assertIn("shortcut_blur", order("stage3_block1_", stem="small", shortcut="A"))
        self.assertEqual(order("stem_", stem="imagenet"), ["conv", "norm", "relu", "pool", "pool_blur"])

    def test_squeeze_and_excitation_by_hand(self):
        model = ResNet(8, (32, 32, 3), 10, se=0.25)
        randomize(model)
        names = ["norm2", "se_scale"]
        x, y = keras.Model(model.input, [model.get_layer(f"stage3_block1_{n}").output for n in names])(
            np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
        )
        reduce, expand = (model.get_layer(f"stage3_block1_se_{n}") for n in ("reduce", "expand"))
        s = np.maximum(x.numpy().mean((1, 2)) @ reduce.kernel.numpy()[0, 0] + reduce.bias.numpy(), 0)
        s = 1 / (1 + np.exp(-(s @ expand.kernel.numpy()[0, 0] + expand.bias.numpy())))
        self.assertEqual(reduce.filters, 8)
        self.assertAllClose(y, x * s[:, None, None], 1e-5, 1e-5)

    def test_multiplications(self):
        # He et al. 2015, table 1 and section 4.2: billions and millions; MLPerf Tiny's ResNet-8 has 12.5 million.
        for depth, shape, millions in ((18, (224, 224, 3), 1814), (50, (224, 224, 3), 4089), (8, (32, 32, 3), 12.5)):
            self.assertAllClose(multiplications(ResNet(depth, shape)) / 1e6, millions, rtol=0.01)

    def test_width_doubles_filters(self):
        narrow, wide = ResNet(8, (32, 32, 3)), ResNet(8, (32, 32, 3), width=2)
        for name in ("stem_conv", "stage3_block1_conv1", "stage4_block1_shortcut_conv"):
            self.assertEqual(wide.get_layer(name).filters, 2 * narrow.get_layer(name).filters)

    def test_own_layout(self):
        # ResNet-164 of He et al. 2016: 1.7 million parameters.
        model = ResNet(Layout("bottleneck", (18, 18, 18), 16), (32, 32, 3), 10, version=2)
        self.assertAlmostEqual(trainable(model) / 1e6, 1.7, delta=0.05)


class ShapesTest(tf.test.TestCase):
    def features(self, *arguments, **keywords):
        return {k: v.shape[1:] for k, v in ResNet(*arguments, features=True, **keywords).output.items()}

    def test_imagenet_stages(self):
        bottleneck = {"C2": (56, 56, 256), "C3": (28, 28, 512), "C4": (14, 14, 1024), "C5": (7, 7, 2048)}
        self.assertEqual(self.features(50), bottleneck)
        self.assertEqual(self.features(50, padding="symmetric"), bottleneck)
        self.assertEqual(self.features(50, version=2), bottleneck)
        self.assertEqual(self.features(18)["C5"], (7, 7, 512))

    def test_small_stem_is_chosen_by_size(self):
        self.assertEqual(self.features(20, (32, 32, 3)), {"C2": (32, 32, 16), "C3": (16, 16, 32), "C4": (8, 8, 64)})
        self.assertEqual(self.features(18, (32, 32, 3))["C5"], (4, 4, 512))
        self.assertEqual(self.features(18, (64, 64, 3))["C5"], (2, 2, 512))

    def test_any_size(self):
        self.assertEqual(self.features(18, (None, None, 3), stem="imagenet")["C5"], (None, None, 512))

    def test_any_size_runs_where_the_last_block_subsamples(self):
        model = ResNet(50, (None, None, 3), 5, stem="imagenet", version=2, stride_block="last", width=0.125)
        self.assertEqual(model(np.zeros((1, 64, 96, 3), "float32")).shape, (1, 5))

    def test_no_top(self):
        self.assertEqual(ResNet(18, include_top=False).output.shape[1:], (7, 7, 512))

    def test_options_change_what_they_say(self):
        plain = ResNet(20, (32, 32, 3), 10, shortcut="none")
        self.assertFalse([layer for layer in plain.layers if isinstance(layer, keras.layers.Add)])
        self.assertEqual(ResNet(8, (32, 32, 3), activation="relu6").get_layer("stem_relu").max_value, 6)
        paper = ResNet(50, stride_conv="1x1")
        self.assertEqual(paper.get_layer("stage3_block1_conv1").strides, (2, 2))
        self.assertEqual(ResNet(50).get_layer("stage3_block1_conv2").strides, (2, 2))
        self.assertEqual(ResNet(50).get_layer("stage3_block1_conv1").strides, (1, 1))

    def test_logits_are_float32_in_every_precision(self):
        for dtype in ("float32", "mixed_float16", "mixed_bfloat16", "float16"):
            model = ResNet(8, (32, 32, 3), 10, dtype=dtype)
            self.assertEqual(model(np.zeros((1, 32, 32, 3), "float32")).dtype, tf.float32)


class BehaviourTest(tf.test.TestCase):
    def images(self, n=4, size=32, seed=0):
        return np.random.default_rng(seed).uniform(-1, 1, (n, size, size, 3)).astype("float32")

    def test_blocks_are_identities_at_the_start(self):
        for version, stem, last in ((1, "stem_relu", "stage2_block3_relu"), (2, "stem_conv", "stage2_block3_add")):
            network = ResNet(20, (32, 32, 3), version=version)
            ends = [network.get_layer(name).output for name in (stem, last)]
            before, after = keras.Model(network.input, ends)(self.images())
            self.assertGreater(np.ptp(before), 0.1)
            self.assertAllEqual(before, after)

    def test_plain_network_is_alive(self):
        model = ResNet(20, (32, 32, 3), 10, shortcut="none")
        self.assertGreater(np.std(model(self.images())), 1e-3)

    def test_one_step_lowers_the_loss(self):
        for keywords in ({}, {"version": 2}, {"shortcut": "A"}, {"shortcut": "none"}, {"activation": "relu6"}):
            with self.subTest(**keywords):
                keras.utils.set_random_seed(1)
                model = ResNet(8, (32, 32, 3), 10, **keywords)
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile(keras.optimizers.SGD(0.05), loss)
                images, labels = self.images(16), np.arange(16) % 10
                first, second = (model.train_on_batch(images, labels) for _ in range(2))
                self.assertLess(second, first)

    def test_save_and_load(self):
        model = ResNet(8, (32, 32, 3), 10, version=2, shortcut="A")
        randomize(model)
        path = pathlib.Path(self.get_temp_dir()) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
        self.assertAllEqual(model(self.images()), loaded(self.images()))

    def test_option_a_pads_channels_and_skips_pixels(self):
        model = ResNet(8, (32, 32, 3), shortcut="A")
        ends = [model.get_layer(name).output for name in ("stage2_block1_relu", "stage3_block1_shortcut_pad")]
        x, y = keras.Model(model.input, ends)(self.images())
        self.assertAllEqual(y[..., 8:24], x[:, ::2, ::2])
        self.assertAllEqual(y[..., :8], np.zeros((4, 16, 16, 8)))
        self.assertAllEqual(y[..., 24:], np.zeros((4, 16, 16, 8)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"depth": 19}, "depth=19: no such ResNet; choose 18"),
        ({"depth": "50"}, "no such ResNet"),
        ({"input_shape": (5, 5, 3), "stem": "imagenet"}, "give at least 32x32 pixels, or give stem='small'"),
        ({"input_shape": (5, 5, 3)}, "give at least 8x8 pixels"),
        ({"input_shape": (32, 32)}, "expected (height, width, channels)"),
        ({"input_shape": (None, None, 3)}, "give stem='imagenet' or 'small'"),
        ({"num_classes": 0}, "num_classes=0: expected at least 1"),
        ({"width": 0}, "width=0: expected a positive factor"),
        ({"version": 3}, "version=3: choose 1 or 2"),
        ({"shortcut": "B"}, "shortcut='B': choose 'projection' or 'A' or 'none'"),
        ({"stride_block": "last"}, "give version=2 with it"),
    ],
)
def test_nonsense_is_refused_with_what_would_do(arguments, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        ResNet(**arguments)


def test_every_name_of_the_package_is_there():
    for name in keras_resnet.__all__:
        assert getattr(keras_resnet, name) is not None
    with pytest.raises(AttributeError):
        keras_resnet.resnet19  # noqa: B018


if __name__ == "__main__":
    tf.test.main()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("options", [{}, {"shortcut": "A"}, {"shortcut": "pool", "se": 0.25}, {"stem": "imagenet"}])
def test_along_one_axis_it_is_the_middle_row_of_its_kernels(version, options, monkeypatch):
    """A map that is one pixel high shows a 3x3 kernel's middle row alone."""
    flat = ResNet(8, (1, 40, 3), 5, version=version, axes=1, **options)
    monkeypatch.setattr("keras_resnet.networks.resnet._check", lambda given: None)
    square = ResNet(8, (1, 40, 3), 5, version=version, **{"stem": "small", **options})
    assert [layer.name for layer in flat.layers] == [layer.name for layer in square.layers]
    rng = np.random.default_rng(0)
    for ours, theirs in zip(flat.layers, square.layers, strict=True):
        arrays = [rng.uniform(0.1, 1, w.shape) - 0.4 * (w.ndim > 1) for w in theirs.get_weights()]
        theirs.set_weights(arrays)
        ours.set_weights([a[a.shape[0] // 2][None] if a.ndim == 4 else a for a in arrays])
    x = rng.uniform(-1, 1, (4, 1, 40, 3)).astype("float32")
    np.testing.assert_allclose(flat(x), square(x), rtol=1e-3, atol=1e-4)
    assert flat.count_params() < square.count_params() / 2


def test_along_no_axis_it_is_dense():
    model = ResNet(14, (1, 1, 6), 3, axes=0)
    kernels = [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]
    assert all(shape[:2] == (1, 1) for shape in kernels[:-1]) and model.output_shape == (None, 3)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 6)).astype("float32")

    def norm(x, layer):
        scale, shift, mean, variance = layer.get_weights()
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift

    layers, y = {layer.name: layer for layer in model.layers}, x
    for layer in model.layers:
        if layer.name.endswith(("norm1", "norm2", "stem_norm", "shortcut_norm")):
            layer.set_weights([np.random.default_rng(1).uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    y = np.maximum(norm(y @ layers["stem_conv"].kernel[0, 0], layers["stem_norm"]), 0)
    for stage in (2, 3, 4):
        for block in (1, 2):
            name, short = f"stage{stage}_block{block}", y
            if f"{name}_shortcut_conv" in layers:
                short = norm(y @ layers[f"{name}_shortcut_conv"].kernel[0, 0], layers[f"{name}_shortcut_norm"])
            y = np.maximum(norm(y @ layers[f"{name}_conv1"].kernel[0, 0], layers[f"{name}_norm1"]), 0)
            y = np.maximum(short + norm(y @ layers[f"{name}_conv2"].kernel[0, 0], layers[f"{name}_norm2"]), 0)
    np.testing.assert_allclose(model(x[:, None, None]), y @ layers["logits"].kernel, rtol=1e-3, atol=1e-4)


def test_a_picture_can_be_a_vector():
    whole, flat = ResNet(8, (4, 5, 3), 2, axes=0), ResNet(8, (1, 1, 60), 2, axes=0)
    whole.set_weights(flat.get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (6, 4, 5, 3)).astype("float32")
    np.testing.assert_allclose(whole(x), flat(x.reshape(6, 1, 1, 60)), atol=1e-6)
    assert ResNet(8, (4, 5, 3), 2, axes=0, pixel_mean=[100, 110, 120])(x).shape == (6, 2)
    for odd in ({"blur": True}, {"shortcut": "pool"}, {"stem": "deep"}):
        with pytest.raises(ValueError, match="a vector has no neighbours"):
            ResNet(8, (4, 5, 3), 2, axes=0, **odd)


def test_axes_that_cannot_be_are_refused():
    for shape, axes, said in (
        ((8, 8, 3), 1, r"axes=1, .*wants \(1, length, channels\)"),
        ((None, 8, 3), 0, r"axes=0, .*want a size that is known"),
        ((8, 8, 3), 3, "choose 0, 1 or 2"),
        ((1, 3, 3), 1, "give at least 4 pixels"),
    ):
        with pytest.raises(ValueError, match=said):
            ResNet(8, shape, 2, axes=axes)
