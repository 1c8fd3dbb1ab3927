"""Claim: where quantization after training fails, learning under the rounding does not.

    python -m benchmarks.weight_bits runs/NAME [--bits=8,4]

From one finished float run, with 8 or 4 bits for the weights (activations stay at 8): ranges alone (PTQ), a short
training under the rounding (QAT, a resumable run: runs/NAME/qat, and runs/NAME/qat-4bit), and with 4 bits another whose
ranges learn, too (runs/NAME/qat-4bit-learned). Accuracy is the `.tflite`'s in LiteRT, on validation, time that of one
picture on one thread; 4-bit weights are stored packed, two in a byte, and LiteRT unpacks them outside of XNNPACK.
"""

import argparse
import dataclasses
import pathlib

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment

KINDS = {
    "PTQ": "rounded after training",
    "QAT": "learned under the rounding",
    "learned": "its ranges learned, too",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="a finished float run's folder")
    parser.add_argument("--bits", default="8,4", choices=("8,4", "8", "4"), help="of the weights")
    parser.add_argument("--epochs", type=int, help="of QAT; a tenth of the float training's by default")
    parser.add_argument("--learning_rate", type=float, help="of QAT; by default a 200th of the float training's")
    arguments = parser.parse_args()
    environment.load_tensorflow()
    from keras_resnet import files, recipes, runs
    from keras_resnet.data.loading import load_data
    from keras_resnet.quantization import quantize_aware
    from keras_resnet.quantization.saved import load_model
    from keras_resnet.training import starting, trainer

    float_run = runs.Run(arguments.run)
    try:
        recipe = runs.load_recipe(float_run)
    except runs.RunError as error:
        parser.error(error)
    changed = {k: v for k in ("epochs", "learning_rate") if (v := getattr(arguments, k)) is not None}
    continued = dataclasses.replace(recipes.continued(recipe, str(arguments.run), "int8"), **changed)
    data = load_data(recipe, float_run)
    model = load_model(float_run.model)
    pictures = data.calibration(starting.CALIBRATION_PICTURES, recipe.seed)
    rows = []
    for bits in map(int, arguments.bits.split(",")):
        folder = arguments.run / ("qat" if bits == 8 else f"qat-{bits}bit")
        quantized = {"PTQ": quantize_aware(model, pictures, weight_bits=bits)}
        for ranges in ("found", "learned") if bits == 4 else ("found",):
            run = runs.Run(folder if ranges == "found" else folder.with_name(f"{folder.name}-learned"))
            trainer.train(dataclasses.replace(continued, weight_bits=bits, ranges=ranges), run.path)
            quantized["QAT" if ranges == "found" else "learned"] = load_model(run.model)
        for kind, network in quantized.items():
            row = {"bits": bits, "kind": kind, **measure(network, data, folder / f"{kind}.tflite")}
            print(
                f"{KINDS[kind]}, {bits}-bit weights: {100 * row['accuracy']:.2f} %, agreement with the simulation "
                f"{row['agreement']:.4f}, {row['bytes']:,} bytes, {row['milliseconds']:.3f} ms",
                flush=True,
            )
            rows.append(row)
    result = {
        "float": files.read_json(float_run.report)["validation"]["top1_accuracy"],
        "rows": rows,
        "epochs": continued.epochs,
        **runs.origin(),
    }
    print(f"float: {100 * result['float']:.2f} %")
    files.write_json(arguments.run / "weight_bits.json", result)
    title = f"{model.name} · {data.name} · validation ({len(data.validation):,} pictures)"
    draw(result, title, arguments.run / "weight_bits.png")


def measure(quantized, data, path):
    """Converts a quantized model to a file and runs it over the validation pictures, beside its simulation."""
    from export import comparison, conversion, metadata
    from keras_resnet import files, tasks
    from keras_resnet.device import benchmark
    from keras_resnet.device.reader import Reader

    content = conversion.convert("int8-qat", quantized, next(comparison.batches(data, "validation"))[0][:1])
    files.write_bytes(path, metadata.embed(content, data.contract, metadata.Card(quantized.name)))
    reader = Reader(path, threads=1)
    beside = comparison.Comparison({path.stem: reader}, {"float": quantized}, tasks.of(data.contract))
    for images, labels in comparison.batches(data, "validation"):
        beside.add(images, labels)
    sums = beside.sums[path.stem]
    return {
        "accuracy": sums.hits / beside.pictures,
        "agreement": sums.agreed / beside.pictures,
        "bytes": len(content),
        "milliseconds": benchmark.measure(reader, seconds=2)["median_ms"],
    }


def draw(result, title, path):
    """Accuracy that is lost against float, for each number of bits."""
    from keras_resnet import drawing

    widths = list(dict.fromkeys(row["bits"] for row in result["rows"]))
    figure, axes = drawing.pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.axhline(0, color=drawing.GRAY)
    colours = (drawing.ORANGE, drawing.BLUE, drawing.GREEN)
    for i, (kind, label) in enumerate(KINDS.items()):
        found = {widths.index(row["bits"]): row for row in result["rows"] if row["kind"] == kind}
        heights = [100 * (result["float"] - row["accuracy"]) for row in found.values()]
        bars = axes.bar([place + (i - 1) * 0.27 for place in found], heights, 0.25, color=colours[i], label=label)
        axes.bar_label(bars, [f"{height:.2f}" for height in heights], fontsize=9)
    last = {row["bits"]: row for row in result["rows"]}
    under = [f"{bits} bits\n{row['bytes'] / 1000:.0f} kB, {row['milliseconds']:.2f} ms" for bits, row in last.items()]
    axes.set_xticks(range(len(widths)), under)
    axes.set(xlabel="weights (activations: 8 bits)", ylabel="top-1 accuracy lost [points]")
    axes.set_title(f"{title}\nfloat32: {100 * result['float']:.2f} %")
    axes.margins(y=0.15)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    drawing.save(figure, path)


if __name__ == "__main__":
    main()
