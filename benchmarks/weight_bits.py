"""Claim: where quantization after training fails, learning under the rounding does not.

    python benchmarks/weight_bits.py runs/NAME [--bits=8,6,4,3]

From one finished float run, with fewer and fewer bits for the weights (activations stay at 8): ranges alone (PTQ), and
a short training under the rounding (QAT, a resumable run in runs/NAME/qat-Nbit). Accuracy is the simulation's, on
validation. Fewer than 8 bits are an experiment: LiteRT's kernels store such weights as int8, so the file is no smaller.
"""

import argparse
import dataclasses
import pathlib

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)
from keras_resnet import environment


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="a finished float run's folder")
    parser.add_argument("--bits", default="8,6,4,3")
    parser.add_argument("--epochs", type=int, help="of QAT; a tenth of the float training's by default")
    parser.add_argument("--learning_rate", type=float, help="of QAT; a hundredth of the float training's by default")
    arguments = parser.parse_args()
    environment.load_tensorflow()
    from keras_resnet import files, recipes, runs, training
    from keras_resnet.quantization import quantize_aware

    float_run = runs.Run(arguments.run)
    recipe = runs.load_recipe(float_run)
    changed = {k: v for k in ("epochs", "learning_rate") if (v := getattr(arguments, k)) is not None}
    continued = dataclasses.replace(recipes.continued(recipe, str(arguments.run), "int8"), **changed)
    data = training.load_data(recipe, float_run)
    model = training.load_model(float_run.model)
    pictures = data.calibration(training.CALIBRATION_PICTURES, recipe.seed)
    rows = []
    for bits in map(int, arguments.bits.split(",")):
        run = runs.Run(arguments.run / f"qat-{bits}bit")
        training.train(dataclasses.replace(continued, weight_bits=bits), run.path)
        ptq = quantize_aware(model, pictures, weight_bits=bits)
        rows.append({"bits": bits, "ptq": accuracy(ptq, data), "qat": accuracy(training.load_model(run.model), data)})
        print(f"{bits} bits: PTQ {100 * rows[-1]['ptq']:.2f} % · QAT {100 * rows[-1]['qat']:.2f} %", flush=True)
    result = {"float": accuracy(model, data), "rows": rows, "epochs": continued.epochs, **runs.origin()}
    print(f"float: {100 * result['float']:.2f} %")
    files.write_json(arguments.run / "weight_bits.json", result)
    title = f"{model.name} · {data.name} · validation ({len(data.validation):,} pictures)"
    draw(result, title, arguments.run / "weight_bits.png")


def accuracy(model, data):
    from keras import metrics

    model.compile(metrics=[metrics.SparseCategoricalAccuracy(name="accuracy")])
    return float(model.evaluate(data.evaluation("validation"), verbose=0, return_dict=True)["accuracy"])


def draw(result, title, path):
    """Accuracy against bits of the weights."""
    from keras_resnet import figures

    rows = result["rows"]
    places = range(len(rows))
    figure, axes = figures.pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.axhline(100 * result["float"], color=figures.GRAY, linestyle="--", label="float32")
    sides = (("qat", "QAT: learned under the rounding", figures.BLUE, -0.2),)
    sides += (("ptq", "PTQ: ranges after training", figures.ORANGE, 0.2),)
    for key, label, color, shift in sides:
        heights = [100 * row[key] for row in rows]
        bars = axes.bar([p + shift for p in places], heights, 0.38, color=color, label=label)
        axes.bar_label(bars, [f"{height:.1f}" for height in heights], fontsize=9)
    axes.set_xticks(places, [str(row["bits"]) for row in rows])
    axes.set(xlabel="bits of the weights (activations: 8)", ylabel="top-1 accuracy [%]", title=title, ylim=(0, 108))
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    figures.save(figure, path)


if __name__ == "__main__":
    main()
