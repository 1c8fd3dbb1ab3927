"""Claim: where quantization after training fails, learning under the rounding does not.

    python -m benchmarks.weight_bits runs/NAME [--bits=8,4]

From one finished float run, with fewer bits for the weights (activations stay at 8): ranges alone (PTQ), and a short
training under the rounding (QAT, a resumable run: runs/NAME/qat, and runs/NAME/qat-Nbit for fewer than 8). Accuracy is
the `.tflite`'s in LiteRT, on validation; 4-bit weights are stored packed, two in a byte. Other widths are experiments:
the agreement of file and simulation tells whether the file holds what was learned.
"""

import argparse
import dataclasses
import pathlib

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="a finished float run's folder")
    parser.add_argument("--bits", default="8,4")
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
    recipe = runs.load_recipe(float_run)
    changed = {k: v for k in ("epochs", "learning_rate") if (v := getattr(arguments, k)) is not None}
    continued = dataclasses.replace(recipes.continued(recipe, str(arguments.run), "int8"), **changed)
    data = load_data(recipe, float_run)
    model = load_model(float_run.model)
    pictures = data.calibration(starting.CALIBRATION_PICTURES, recipe.seed)
    rows = []
    for bits in map(int, arguments.bits.split(",")):
        run = runs.Run(arguments.run / ("qat" if bits == 8 else f"qat-{bits}bit"))
        trainer.train(dataclasses.replace(continued, weight_bits=bits), run.path)
        kinds = {"PTQ": quantize_aware(model, pictures, weight_bits=bits), "QAT": load_model(run.model)}
        for kind, quantized in kinds.items():
            path = run.path / f"{kind}.tflite"
            rows.append({"bits": bits, "kind": kind, **measure(quantized, data, path)})
        for row in rows[-2:]:
            print(
                f"{row['kind']}, {bits}-bit weights: {100 * row['accuracy']:.2f} %, "
                f"agreement with the simulation {row['agreement']:.4f}, {row['bytes']:,} bytes",
                flush=True,
            )
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
    from keras_resnet.device.reader import Reader

    content = conversion.convert("int8-qat", quantized, next(comparison.batches(data, "validation"))[0][:1])
    files.write_bytes(path, metadata.embed(content, data.contract, metadata.Card(quantized.name)))
    beside = comparison.Comparison({path.stem: Reader(path)}, {"float": quantized}, tasks.of(data.contract))
    for images, labels in comparison.batches(data, "validation"):
        beside.add(images, labels)
    sums = beside.sums[path.stem]
    return {
        "accuracy": sums.hits / beside.pictures,
        "agreement": sums.agreed / beside.pictures,
        "bytes": len(content),
    }


def draw(result, title, path):
    """Accuracy that is lost against float, for each number of bits."""
    from keras_resnet import drawing

    widths = list(dict.fromkeys(row["bits"] for row in result["rows"]))
    figure, axes = drawing.pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.axhline(0, color=drawing.GRAY)
    sides = (("QAT", "QAT: learned under the rounding", drawing.BLUE, -0.2),)
    sides += (("PTQ", "PTQ: rounded after training", drawing.ORANGE, 0.2),)
    for kind, label, color, shift in sides:
        heights = [100 * (result["float"] - row["accuracy"]) for row in result["rows"] if row["kind"] == kind]
        bars = axes.bar([p + shift for p in range(len(widths))], heights, 0.38, color=color, label=label)
        axes.bar_label(bars, [f"{height:.2f}" for height in heights], fontsize=9)
    sizes = {row["bits"]: row["bytes"] for row in result["rows"]}
    axes.set_xticks(range(len(widths)), [f"{bits} bits\n{sizes[bits] / 1000:.0f} kB" for bits in widths])
    axes.set(xlabel="weights (activations: 8 bits)", ylabel="top-1 accuracy lost [points]")
    axes.set_title(f"{title}\nfloat32: {100 * result['float']:.2f} %")
    axes.margins(y=0.15)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    drawing.save(figure, path)


if __name__ == "__main__":
    main()
