"""The export of a Keras model that is no run's: any inputs and outputs, from examples of its inputs.

Files, golden examples, and one table: how far each output of each file is from the Keras model's.
"""

import pathlib
import re
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import files, runs
from keras_resnet.device.archives import load_arrays
from keras_resnet.device.contract import Contract
from keras_resnet.device.reader import Reader
from keras_resnet.device.several import SINGLE
from keras_resnet.device.tensors import Tensors
from keras_resnet.networks.weights import broken_weight
from keras_resnet.quantization import quantize_aware
from keras_resnet.quantization.fake_quantization import FakeQuantize, QuantizedModel
from keras_resnet.quantization.pictures import CLIPPED, held, pixel_range
from keras_resnet.quantization.saved import load_model
from keras_resnet.quantization.translation import functional, is_float

from . import android, comparison, conversion, fidelity, golden, metadata, microcontroller, outputs

LARGEST = 1e30  # of an example's values: of larger ones the converter makes ranges that kill its process
WRITTEN = (".tflite", ".golden.npz", ".golden.json", ".model_data.h", ".model_data.cc")  # suffixes of what is made


class NetworkError(ValueError):
    """A model that can't be exported, or examples that are none of its inputs'; the message says what to type."""


def export(path, options):
    """Makes and compares all files of a `.keras` file, in NAME-export beside it; returns the status, 3 if one failed.

    Raises:
        NetworkError: what was given does not fit together.
        RunError: the file holds no Keras model.
    """
    model = _model(path)
    contract = _contract(model, options.contract)
    if options.android and contract.input.KIND not in SINGLE:
        things = contract.input.THINGS
        raise NetworkError(f"--android: the app takes one picture, recording or text; this model takes {things}")
    examples, images = _examples(model, options.examples, contract)
    formats = _formats(model, options.formats)
    calibration = [part[: options.calibration] for part in examples]
    first = len(calibration[0]) if len(examples[0]) > len(calibration[0]) else 0
    rest = slice(first, first + options.pictures if options.pictures else None)
    asked, images = [part[rest] for part in examples], None if images is None else images[rest]
    models, paths, failed = {"float": model}, {}, []
    expected = {"float": _answers(model, asked)}
    folder = path.parent / f"{path.stem}-export"
    _sweep(folder, path.stem)
    for name in formats:
        try:
            if name == "int8-qat":
                models[name] = _quantized(model, calibration, contract)
                expected[name] = outputs.answers(models[name], asked)
            content = _content(name, models.get(name, model), calibration, options.io, contract)
            paths[name] = folder / f"{path.stem}-{name}.tflite"
            _write(name, paths[name], content, contract, options)
            _write_golden(paths[name], model, asked, images)
        except ValueError as error:
            failed.append(name)
            paths.pop(name, None)
            print(f"{name:10} failed: {error}", file=sys.stderr)
            continue
        print(f"{name:10} {paths[name].stat().st_size:12,} bytes  {paths[name]}", flush=True)
        if name == "int8-qat" and options.layers:
            beside = [part[: comparison.BATCH] for part in asked]
            print(f"file and simulation: {fidelity.report(models[name], content, beside)}")
    if paths:
        of = "those that gave the ranges" if first == 0 else f"{len(calibration[0]):,} others gave the ranges"
        title = f"{path.stem} ({len(asked[0]):,} examples; {of})"
        rows, shown = outputs.compare(paths, expected, outputs.given(model, asked), options.threads)
        outputs.write(folder, rows, shown, title, {"calibration": len(calibration[0]), **runs.origin()})
        print(f"\n{title}\n{outputs.table(rows)}\ncomparison: {folder}/comparison.json, .md, .png")
    if options.android and not failed:
        print(f"android: {android.bundle(paths, path.stem)}")
    return 3 if failed else 0


def _model(path):
    """The model of a file, in float32, held to what can be exported at all."""
    if not path.is_file():
        raise NetworkError(f"{path}: no such file; model.save('NAME.keras') makes one")
    model = conversion.in_float32(functional(load_model(path)))
    broken = broken_weight(model)
    if broken:
        raise NetworkError(f"{path}: weight {broken} is not finite; the model is broken")
    for given in model.inputs:
        if None in given.shape[1:]:
            raise NetworkError(
                f"{path}: input {given.name} is of any size, {given.shape[1:]}, and a file has one: build the model "
                "again by keras.Input(shape) with numbers, and give it the weights"
            )
        if any(given is made for made in model.outputs):
            raise NetworkError(f"{path}: its input {given.name} is an output, too; leave it out of the outputs")
    return model


def _contract(model, path):
    """The contract that is given for a model of classes, held to its shapes; None without."""
    if path is None:
        return None
    try:
        contract = Contract.load(path)
    except (OSError, ValueError) as error:
        raise NetworkError(f"--contract={path}: {error}; docs/quantizing.md shows one") from error
    given, made = ([tuple(tensor.shape[1:]) for tensor in tensors] for tensors in (model.inputs, model.outputs))
    if contract.input.KIND == "several":
        given = {tensor.name: shape for tensor, shape in zip(model.inputs, given, strict=True)}
    else:
        given = given[0] if len(given) == 1 else given
    expected = [(len(contract.labels),)]
    if (given, made) != (contract.shape, expected):
        raise NetworkError(
            f"--contract={path}: it is of {contract.shape} to {expected[0]}, the model is of {given} to {made}"
        )
    if isinstance(model, QuantizedModel):
        layers = {layer.name: layer for layer in model.layers if isinstance(layer, FakeQuantize)}
        for tensor, wanted in zip(model.inputs, _ranges(model, contract), strict=True):
            rounding = layers.get(f"{tensor.name}_range")
            found = [float(end) for end in rounding.range] if rounding and wanted else wanted
            if wanted and not np.allclose(found, wanted, atol=(wanted[1] - wanted[0]) / 2000):
                raise NetworkError(
                    f"--contract={path}: its pixels are {wanted[0]:.4g} to {wanted[1]:.4g}, the model was quantized "
                    f"for {found[0]:.4g} to {found[1]:.4g}; quantize_aware(…, input_range={_asked(model, contract)})"
                )
    return contract


def _ranges(model, contract):
    """The range of each of the model's inputs by the contract, (low, high); None of a text's numbers."""
    several = contract.input.KIND == "several"
    kinds = [contract.input.parts[i.name] for i in model.inputs] if several else [contract.input]
    return [None if kind.KIND == "text" else pixel_range(kind) for kind in kinds]


def _asked(model, contract):
    """What `quantize_aware` takes as `input_range`."""
    ranges = _ranges(model, contract)
    return ranges[0] if len(ranges) == 1 else ranges


def _clipped(part, ends):
    """Examples of an input within its range; a text's numbers as they are."""
    return np.clip(part, *ends) if ends else part


def _examples(model, path, contract):
    """A list of an array (n, …) for each input, and, of a folder, its pictures as uint8, else None."""
    said, path = f"--examples={path}", pathlib.Path(path)
    if path.suffix not in (".npz", ".npy"):
        if contract is None or contract.input.KIND != "picture":
            raise NetworkError(f"{said}: expected a .npz or .npy file, or a folder of pictures with --contract")
        found = contract.input.find([path])
        # A folder's first pictures may all be of one class.
        found = [found[i] for i in np.random.default_rng(comparison.SUBSET_SEED).permutation(len(found))]
        pictures = np.stack([contract.input.read(file, file) for file in found])
        return [contract.input.scaled(pictures)], pictures
    names = [given.name for given in model.inputs]
    wanted = f"np.savez('{path.stem}.npz', {', '.join(f'{name}=…' for name in names)}) writes them"
    if not path.is_file():
        raise NetworkError(f"{said}: no such file; {wanted}")
    try:
        arrays = load_arrays(path) if path.suffix == ".npz" else {"": np.load(path, allow_pickle=False)}
    except (OSError, ValueError, EOFError, MemoryError) as error:  # a header can ask for any memory
        raise NetworkError(f"{said}: no file of NumPy's with arrays of numbers; {wanted}") from error
    if len(names) == len(arrays) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    if odd := sorted({*arrays} ^ {*names}):
        raise NetworkError(f"{said}: it has {', '.join(arrays) or 'nothing'}, odd is {odd[0]!r}; {wanted}")
    try:
        parts = held(arrays, model)
    except ValueError as error:
        raise NetworkError(f"{said}: {str(error).removeprefix('calibration: ')}") from error
    if not len(parts[0]):
        raise NetworkError(f"{said}: there are none")
    for name, part in zip(names, parts, strict=True):
        if np.abs(part).max() > LARGEST:
            raise NetworkError(f"{said}: values of {name} go up to {np.abs(part).max():.3g}; no int8 range holds them")
    for name, part, ends in zip(names, parts, _ranges(model, contract) if contract else (), strict=False):
        low, high = ends or (part.min(), part.max())
        beyond = np.mean((part < low - (high - low) / 64) | (part > high + (high - low) / 64))
        if beyond > CLIPPED:
            of = f" of {name}" if len(names) > 1 else ""
            raise NetworkError(
                f"{said}: {beyond:.1%} of the values{of} are not between {low:.4g} and {high:.4g}, where the "
                "contract's pixels are; give what the network takes, (pixel - mean) / std"
            )
    return parts, None


def _answers(model, asked):
    """What the model answers, before anything is made of it; a sentence where it can't."""
    try:
        made = outputs.answers(model, asked)
    except (tf.errors.OpError, ValueError) as error:
        lines = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in str(error).splitlines()]
        lines = [line for line in lines if line and not line.startswith("Exception encountered")]  # Keras' own frame
        raise NetworkError(f"--examples: the model can't answer them ({lines[0][:200]})") from error
    if broken := [name for name, values in made.items() if not np.isfinite(values).all()]:
        raise NetworkError(f"--examples: the model's {broken[0]} is no number (NaN or infinite) for some")
    return made


def _formats(model, asked):
    asked = None if asked is None else list(dict.fromkeys(asked))
    if isinstance(model, QuantizedModel):
        if others := [name for name in asked or () if name != "int8-qat"]:
            raise NetworkError(f"--formats={','.join(asked)}: the model is quantized; {others[0]} wants the float one")
        return ["int8-qat"]
    if asked is not None:
        return asked
    if all(map(is_float, model.inputs)):
        return list(conversion.FORMATS)
    print("int16x8    left out: TensorFlow's converter makes none of integer inputs", flush=True)
    return [name for name in conversion.FORMATS if name != "int16x8"]


def _sweep(folder, stem):
    """Removes what an earlier export left, which would tell of other files."""
    for name in (*conversion.FORMATS, "comparison"):
        for suffix in (*WRITTEN, ".json", ".md", ".png"):
            base = name if name == "comparison" else f"{stem}-{name}"
            (folder / f"{base}{suffix}").unlink(missing_ok=True)


def _quantized(model, calibration, contract):
    """The model itself where `quantize_aware` has made it, else with ranges of its examples."""
    if isinstance(model, QuantizedModel):
        return model
    if not contract:
        return quantize_aware(model, calibration)
    ranges = _ranges(model, contract)  # of which a white pixel may be beyond
    clipped = {i.name: _clipped(*one) for i, *one in zip(model.inputs, calibration, ranges, strict=True)}
    return quantize_aware(model, clipped, input_range=_asked(model, contract))


def _content(name, model, calibration, io, contract):
    layers = model._flatten_layers()
    if name in ("int8-ptq", "int16x8") and (odd := [one for one in layers if isinstance(one, keras.layers.RNN)]):
        raise NetworkError(f"layer {odd[0].name}: of a recurrent layer in int8, TensorFlow's converter dies")
    if contract:  # the converter's range is what it sees
        each = zip(calibration, _ranges(model, contract), strict=True)
        calibration = [conversion.with_extremes(_clipped(part, ends), ends) for part, ends in each]
    return conversion.convert(name, model, calibration, io, raw_pixels=False)


def _write(name, path, content, contract, options):
    """Writes a file, with metadata where there is a contract, and its C++ where that is asked for."""
    sources = microcontroller.sources(content) if options.c_array and name.startswith("int8") else {}
    if contract:
        content = metadata.embed(content, contract, metadata.card(path.stem, options))
    files.write_bytes(path, content)
    for suffix, text in sources.items():
        files.write_text(path.with_suffix(suffix), text)


def _write_golden(path, model, asked, images):
    """Writes golden pictures where examples were pictures, else golden arrays."""
    if images is not None:
        golden.write(path, Reader(path), [golden.png(image) for image in images[: golden.COUNT]])
    else:
        golden.write_arrays(path, Tensors(path), outputs.given(model, [part[: golden.COUNT] for part in asked]))
