"""What `benchmarks.quantizers` asks of each tool: `python -m benchmarks.quantizing_tools ROW FOLDER EPOCHS PICTURES`.

Each row is made in a process of its own, since tools conflict: tensorflow-model-optimization wants Keras 2 for the
whole process, HGQ2 and QKerasV3 both install a package `qkeras`. FOLDER gets `made.json`, `model.tflite` where one
could be made, and `simulation.npy`, the logits of what has learned for the validation pictures, where something has.
Beside it, `refused.json` says which layers of `LAYERS`, each in a small network of its own, the tool does not take.

The float network, its pictures, their order and augmentation, the teacher (the float network), optimizer, epochs and
the choice of the best epoch are the same for all that learn. HGQ2 and QKerasV3 round where our own quantizer rounds,
norms are folded as there; but their numbers are fixed-point: the scale is a power of two.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import pathlib
import sys
import tempfile

import numpy as np

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment, files, models, recipes, runs

MODEL = "cifar10-jpeg-resnet8"
# Package -> what to install it with; and the module that it is known by, where that has another name.
PACKAGES = {
    "keras-resnet": ("keras_resnet", "pip install -e ."),
    "tensorflow": ("tensorflow", "pip install -e ."),
    "tensorflow-model-optimization": ("tensorflow_model_optimization", 'pip install -e ".[tfmot]"'),
    "ai-edge-quantizer": ("ai_edge_quantizer", "pip install -e . ai-edge-quantizer"),
    "hgq2": ("hgq", "pip install -e . HGQ2"),
    "qkeras-v3": ("qkeras.utils", "pip install -e . qkeras-v3"),
}


class Missing(ValueError):
    """A tool that is not installed; the message says what to type."""


def version(package):
    """The version of an installed package.

    Raises:
        Missing: it is not installed.
    """
    module, how = PACKAGES[package]
    try:
        if importlib.util.find_spec(module):
            return importlib.metadata.version(package)
    except ModuleNotFoundError:  # of a submodule whose parent is not there
        pass
    raise Missing(f"{package} is not installed: {how}, in an environment of its own, and name its Python")


@dataclasses.dataclass
class Lesson:
    """What is learned from, the same for all."""

    recipe: recipes.Recipe
    data: object
    teacher: object
    task: object

    def __call__(self, model):
        """Lets a Keras 3 model learn, and leaves the weights that were best on validation; returns accuracies."""
        from keras_resnet.training import distillation, optimization

        recipe, steps = self.recipe, len(self.data.train) // self.recipe.batch_size
        student = distillation.Student(model, [self.teacher], self.task.taught)
        student.compile(optimization.make_optimizer(recipe, recipe.epochs * steps), self.task.loss(recipe))
        accuracies = []
        for epoch in range(recipe.epochs + 1):
            if epoch:  # what it starts with may be the best there will be
                how = {"augment": recipe.augmentations, "magnitude": recipe.magnitude, "move": self.task.move}
                student.fit(self.data.training(recipe.batch_size, recipe.seed, epoch - 1, **how), verbose=0)
            accuracies.append(self.accuracy(self.answers(model.predict_on_batch)))
            print(f"epoch {epoch}/{recipe.epochs}: {100 * accuracies[-1]:.2f} %", flush=True)
            if accuracies[-1] == max(accuracies):
                best = model.get_weights()
        model.set_weights(best)
        return accuracies

    def by_tfmot(self, model):
        """The same in tf_keras."""
        from export import tfmot

        tfmot.train(model, [self.teacher], self.recipe, self.data, self.task)

    def answers(self, predict):
        """Logits for the validation pictures."""
        return np.concatenate([predict(images) for images, _ in self.data.evaluation("validation").as_numpy_iterator()])

    def accuracy(self, logits):
        labels = np.concatenate([labels for _, labels in self.data.evaluation("validation").as_numpy_iterator()])
        return float(self.task.scores(logits, labels).mean())


class Nothing:
    """Where nothing is to be learned."""

    def __call__(self, model):
        pass

    by_tfmot = __call__


def lesson(epochs, count):
    """The float network, 512 calibration pictures, and what the tools learn from: `count` pictures, drawn once."""
    environment.load_tensorflow()
    from keras_resnet import tasks
    from keras_resnet.data.loading import load_data
    from keras_resnet.data.sources import Arrays
    from keras_resnet.quantization.saved import load_model
    from keras_resnet.training import starting

    run = runs.Run(models.folder(MODEL))
    recipe = recipes.continued(runs.load_recipe(run), str(run.path), "int8")
    recipe = dataclasses.replace(recipe, epochs=epochs)
    data, model = load_data(recipe, run), load_model(run.model)
    pictures = data.calibration(starting.CALIBRATION_PICTURES, recipe.seed)
    kept = np.random.default_rng(recipe.seed).permutation(len(data.train))[: count or None]
    data = dataclasses.replace(data, train=Arrays(data.train.images[kept], data.train.labels[kept]))
    return model, pictures, Lesson(recipe, data, model, tasks.of(data.contract))


def ours(bits, model, pictures, learn):
    from export import conversion
    from keras_resnet.quantization import quantize_aware

    quantized = quantize_aware(model, pictures, weight_bits=bits)
    accuracies = learn(quantized)
    return quantized.predict_on_batch, accuracies, conversion.convert("int8-qat", quantized, pictures)


def by_tfmot(model, pictures, learn):
    from export import tfmot

    quantized = tfmot.quantize(tfmot.twin(model), pictures)
    learn.by_tfmot(quantized)
    return quantized.predict_on_batch, None, tfmot.convert(quantized, "uint8")


def by_tflite(model, pictures, learn):
    from export import conversion

    return None, None, conversion.convert("int8-ptq", model, pictures)


def by_ai_edge_quantizer(model, pictures, learn):
    from benchmarks import edge_quantizer
    from export import conversion

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "float.tflite")
        path.write_bytes(conversion.convert("float32", model, pictures))
        return None, None, edge_quantizer.quantize(path, pictures)


def integer_bits(values, bits, signed):
    """Bits before the point, of a fixed-point number without its sign, that lose least of values in the mean square."""
    top = int(np.ceil(np.log2(max(np.abs(values).max(), 2.0**-20))))

    def loss(integer):
        step = 2.0 ** (integer - bits + signed)
        rounded = np.clip(np.round(values / step), -(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1)
        return np.mean((rounded * step - values) ** 2)

    return min(range(top, top - 4, -1), key=loss)


def fixed_point(layers, bits, model, pictures, learn):
    """What HGQ2 and QKerasV3 have in common: our rebuilt network, its layers that round replaced by theirs.

    Args:
        layers: function of nothing that returns two: of a name, integer bits and whether there is a sign, a layer that
            rounds activations; of a convolution or dense layer of ours and `bits`, theirs.
    """
    import keras

    from export import conversion
    from keras_resnet.quantization import quantize_aware, ranges
    from keras_resnet.quantization.fake_quantization import FakeQuantize, QuantizedConv2D, QuantizedDense
    from keras_resnet.quantization.translation import call, nodes

    rounding, linear = layers()
    rebuilt = quantize_aware(model, pictures, weight_bits=bits)
    waiting = [layer for layer in rebuilt.layers if isinstance(layer, FakeQuantize)]
    for layer in waiting:
        layer.observe = ranges.Observer()
    for first in range(0, len(pictures), 64):
        rebuilt(pictures[first : first + 64])
    inputs = keras.Input(rebuilt.input_shape[1:], name=rebuilt.inputs[0].name)
    tensors = {id(rebuilt.inputs[0]): inputs}
    for node in nodes(rebuilt):
        layer = node.operation
        (made,) = node.output_tensors
        if isinstance(layer, FakeQuantize):
            sample, signed = layer.observe.sample, float(layer.low) < 0
            new = rounding(layer.name, integer_bits(sample, 8, signed), signed)
            tensors[id(made)] = new(tensors[id(node.input_tensors[0])])
        elif isinstance(layer, (QuantizedConv2D, QuantizedDense)):
            new = linear(layer, bits)
            tensors[id(made)] = new(tensors[id(node.input_tensors[0])])
            new.kernel.assign(layer.kernel)
            new.bias.assign(layer.bias)
        else:
            tensors[id(made)] = call(node, tensors)
    quantized = keras.Model(inputs, tensors[id(rebuilt.outputs[0])], name=rebuilt.name)
    accuracies = learn(quantized)
    try:
        return quantized.predict_on_batch, accuracies, conversion.convert("float32", quantized, pictures)
    except conversion.ConversionError as refusal:
        return quantized.predict_on_batch, accuracies, str(refusal)


def settings(layer):
    """What a convolution or dense layer of another package is to be built with."""
    import keras

    names = ["name", "use_bias"]
    names += ["filters", "kernel_size", "strides", "padding"] if hasattr(layer, "filters") else ["units"]
    return {name: getattr(layer, name) for name in names} | {
        "activation": keras.activations.serialize(layer.activation)
    }


def hgq2():
    """Its layers with bits that do not learn; kernels with a point for each channel."""
    import hgq.layers
    import keras
    from hgq.config import QuantizerConfig

    def config(place, bits, integer, signed, **axes):
        # Its bits do not count the sign; bits and point stay as they are.
        return QuantizerConfig(
            "kbi",
            place,
            k0=signed,
            b0=bits - signed,
            i0=integer,
            round_mode="RND_CONV",
            overflow_mode="SAT",
            trainable=False,
            **axes,
        )

    def whole(place, *how):
        return config(place, *how, heterogeneous_axis=(), homogeneous_axis=None)

    def rounding(name, integer, signed):
        return hgq.layers.Quantizer(whole("datalane", 8, integer, signed), name=name)

    def linear(layer, bits):
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        integers = [integer_bits(kernel[..., channel], bits, True) for channel in range(kernel.shape[-1])]
        per_channel = keras.initializers.Constant(np.array(integers, np.float32))
        kernels = config("weight", bits, per_channel, True, heterogeneous_axis=(-1,), homogeneous_axis=None)
        bias = keras.ops.convert_to_numpy(layer.bias)
        biases = whole("bias", 16, integer_bits(bias, 16, True), True)
        kind = hgq.layers.QConv2D if hasattr(layer, "filters") else hgq.layers.QDense
        return kind(**settings(layer), kq_conf=kernels, bq_conf=biases, enable_iq=False, enable_ebops=False)

    return rounding, linear


def qkeras():
    """Its layers; kernels with the scale that it finds for each channel at each step (`auto_po2`)."""
    import keras
    import qkeras as q

    def rounding(name, integer, signed):
        kind = q.quantized_bits(8, integer, alpha=1) if signed else q.quantized_relu(8, integer)
        return q.QActivation(kind, name=name)

    def linear(layer, bits):
        kernel, bias = map(keras.ops.convert_to_numpy, (layer.kernel, layer.bias))
        whole = max(0, int(np.ceil(np.log2(np.abs(kernel).max()))))  # kernels are held within it
        kernels = q.quantized_bits(bits, whole, alpha="auto_po2")
        biases = q.quantized_bits(16, integer_bits(bias, 16, True), alpha=1)
        kind = q.QConv2D if hasattr(layer, "filters") else q.QDense
        return kind(**settings(layer), kernel_quantizer=kernels, bias_quantizer=biases)

    return rounding, linear


# Row -> (package, function of the float network, its calibration pictures and the lesson).
MAKERS = {
    "ours-8": ("keras-resnet", functools.partial(ours, 8)),
    "ours-4": ("keras-resnet", functools.partial(ours, 4)),
    "tfmot-8": ("tensorflow-model-optimization", by_tfmot),
    "tflite-8": ("tensorflow", by_tflite),
    "edge-8": ("ai-edge-quantizer", by_ai_edge_quantizer),
    "hgq2-8": ("hgq2", functools.partial(fixed_point, hgq2, 8)),
    "hgq2-4": ("hgq2", functools.partial(fixed_point, hgq2, 4)),
    "qkeras-8": ("qkeras-v3", functools.partial(fixed_point, qkeras, 8)),
    "qkeras-4": ("qkeras-v3", functools.partial(fixed_point, qkeras, 4)),
}


# What a network may hold besides convolutions with a norm behind them: name -> kind of layer and its settings.
LAYERS = {
    "a norm behind a ReLU": ("BatchNormalization", {}),
    "DepthwiseConv2D": ("DepthwiseConv2D", {"kernel_size": 3}),
    "Conv2D in two groups": ("Conv2D", {"filters": 8, "kernel_size": 3, "groups": 2}),
    "Conv2DTranspose": ("Conv2DTranspose", {"filters": 8, "kernel_size": 2, "strides": 2}),
    "LayerNormalization": ("LayerNormalization", {}),
    "LSTM": ("LSTM", {"units": 8}),
    "MultiHeadAttention": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4}),
}


def network(layer):
    """A small network around a layer, which gets maps (8, 8, 8), or vectors (64, 8)."""
    import keras

    flat = type(layer).__name__.endswith(("LSTM", "MultiHeadAttention"))
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 4, "same", activation="relu")(inputs)
    x = keras.layers.Reshape((64, 8))(x) if flat else x
    x = layer(x, x) if type(layer).__name__.endswith("MultiHeadAttention") else layer(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def not_taken(row, kind, settings):
    """Why a tool takes no layer of a kind, or nothing; packages of layers refuse what they have no layer for."""
    import keras

    from export import purity

    package, maker = MAKERS[row]
    library = {"hgq2": "hgq.layers", "qkeras-v3": "qkeras"}.get(package)
    layers, kind = (importlib.import_module(library), f"Q{kind}") if library else (keras.layers, kind)
    if not hasattr(layers, kind):
        return f"no {kind}"
    try:
        model = network(getattr(layers, kind)(**settings))
        if library:
            return ""
        pictures = (np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3)) / 128 - 1).astype(np.float32)
        content = maker(model, pictures, Nothing())[2]
        left = purity.impurities(content, "float32" if package == "ai-edge-quantizer" else "uint8", again=True)
        return left[0] if left else ""
    except Exception as error:  # of many kinds; the first line says what is wrong
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        ours_to_blame = package == "tensorflow-model-optimization" and "refuses it" not in reason
        return f"our twin in Keras 2 could not be built: {reason}" if ours_to_blame else reason


def refuse(row, path):
    """Writes name -> why the tool does not take it, or nothing, for each of `LAYERS` that is not in a file yet.

    A converter may take the process with it: what is tried is written first, and the next process goes on behind it.
    """
    found = files.read_json(path) if path.exists() else {}
    left = [name for name in LAYERS if name not in found]
    if left:
        environment.load_tensorflow()
    for name in left:
        files.write_json(path, {**found, name: "its process crashes"})
        found[name] = not_taken(row, *LAYERS[name])
        files.write_json(path, found)


def make(row, folder, epochs, count):
    """Makes a row, unless it is there, of so many epochs of `count` training pictures, 0 for all."""
    package, maker = MAKERS[row]
    made = {"package": package, "version": version(package), "epochs": epochs, "pictures": count}
    if (folder / "made.json").exists():
        before = files.read_json(folder / "made.json")
        if any(before[name] != value for name, value in made.items()):
            raise ValueError(f"{folder}: it was made otherwise; give another --out, or remove it")
        return
    folder.mkdir(parents=True, exist_ok=True)
    model, pictures, learn = lesson(epochs, count)
    predict, made["accuracies"], content = maker(model, pictures, learn)
    if predict:
        np.save(folder / "simulation.npy", learn.answers(predict))
    if isinstance(content, str):
        made["refusal"] = content
    else:
        files.write_bytes(folder / "model.tflite", content)
    files.write_json(folder / "made.json", made)


def main(row, folder, epochs, count):
    folder = pathlib.Path(folder)
    try:
        make(row, folder, int(epochs), int(count))
    except ValueError as error:
        sys.exit(str(error))
    refuse(row, folder / "refused.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
