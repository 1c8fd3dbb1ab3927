"""`keras-resnet degradation`: plain and residual networks of growing depth, trained for as long, beside each other.

He et al. 2015, https://arxiv.org/abs/1512.03385, figures 1 and 6: deeper plain networks have a higher *training* error,
so that it is no overfitting; where each block adds to what it gets, depth costs nothing.
"""

import dataclasses
import pathlib

from absl import flags

from keras_resnet import environment, files, programs, recipes, runs
from keras_resnet.history import read_history

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
KINDS = {"plain": "none", "residual": "projection"}  # what stands beside a block's branch
SHOWN = 256  # training pictures whose gradient is looked at


def network_recipe(dataset, data_dir, depth, kind, epochs, width, seed):
    """The `Recipe` of one network; all else is the data set's usual one."""
    usual = recipes.RECIPES[recipes.default_recipe(dataset)]
    fields = {"dataset": recipes.one_spelling(dataset), "data_dir": data_dir, "epochs": epochs, "width": width}
    made = dataclasses.replace(usual, depth=depth, shortcut=KINDS[kind], seed=seed, **fields)
    made.check()
    return made


def gradient_norms(run, data):
    """How much a trained network would change each of its convolutions, from the picture on.

    Returns:
        List of norms of the loss' gradient of each kernel of its branches, on training pictures in training mode.
    """
    import tensorflow as tf

    from keras_resnet.quantization.saved import load_model

    model = load_model(run.model)
    images, labels = next(iter(data.training(min(SHOWN, len(data.train)), seed=0, epoch=0)))
    kernels = [layer.kernel for layer in model.layers if layer.name.endswith(("stem_conv", "_conv1", "_conv2"))]

    @tf.function
    def gradients(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return tape.gradient(loss, kernels)

    return [float(tf.norm(gradient)) for gradient in gradients(images, labels)]


def figure(rows, norms, title):
    """Training loss against depth, and of the deepest networks the gradient's norm in each convolution.

    Args:
        rows: list of dicts with kind, depth, loss and val_accuracy.
        norms: kind -> list of norms, from the picture on.
        title: of the figure.
    """
    from matplotlib.ticker import LogFormatter

    from keras_resnet.drawing import BLUE, ORANGE, pyplot

    made, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for kind, color, marker in (("plain", ORANGE, "s"), ("residual", BLUE, "o")):
        mine = [row for row in rows if row["kind"] == kind]
        depths, style = [row["depth"] for row in mine], {"color": color, "marker": marker, "label": kind}
        left.plot(depths, [row["loss"] for row in mine], **style)
        middle.plot(depths, [100 * row["val_accuracy"] for row in mine], **style)
        right.plot(range(1, len(norms[kind]) + 1), norms[kind], color=color, label=kind)
    left.set(xlabel="layers", ylabel="training loss, last epoch [nats]", title="what was learned", yscale="log")
    middle.set(xlabel="layers", ylabel="top-1 accuracy [%]", title="best on validation pictures")
    deepest = max(row["depth"] for row in rows)
    right.set(xlabel="convolution, from the picture on", ylabel="norm of the gradient", yscale="log")
    right.set_title(f"gradients of {deepest} layers")
    for axes in (left, right):  # Matplotlib's own would write TeX
        axes.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False))
        axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.legend()
    for axes in (left, middle):
        axes.set_xticks(sorted({row["depth"] for row in rows}))
    made.suptitle(title)
    return made


def compare(depths, dataset="digits", data_dir="", epochs=8, width=0.5, seed=0, out="runs/degradation"):
    """Trains all networks, or continues, and writes `degradation.json` and `.png`; prints a table.

    Args:
        depths: 6n+2 each.
        dataset, data_dir, epochs, width, seed: of the recipes.
        out: folder.

    Returns:
        Rows: dicts of kind, depth, loss (of the last epoch's training, in nats) and val_accuracy (of the best).
    """
    from keras_resnet import drawing
    from keras_resnet.data.loading import load_data
    from keras_resnet.training import trainer

    out, rows, norms, data = pathlib.Path(out), [], {}, None
    for depth in sorted(depths):
        for kind in KINDS:
            recipe = network_recipe(dataset, data_dir, depth, kind, epochs, width, seed)
            run = runs.Run(out / f"{kind}-{depth}")
            data = data or load_data(recipe, run)
            trainer.train(recipe, run.path, data=data)
            history = read_history(run.history)
            accuracy = max(row["val_accuracy"] for row in history)
            rows.append({"kind": kind, "depth": depth, "loss": history[-1]["loss"], "val_accuracy": accuracy})
            norms[kind] = gradient_norms(run, data)
    title = f"{dataset}, {epochs} epoch{'s' * (epochs > 1)}, width {width:g}"
    files.write_json(out / "degradation.json", {"title": title, "networks": rows, "gradient_norms": norms})
    drawing.save(figure(rows, norms, title), out / "degradation.png")
    print("layers    plain loss  residual loss  plain accuracy  residual accuracy")
    for plain, residual in zip(rows[::2], rows[1::2], strict=True):
        line = (plain["loss"], residual["loss"], 100 * plain["val_accuracy"], 100 * residual["val_accuracy"])
        print("{:6}  {:12.4f}  {:13.4f}  {:12.2f} %  {:15.2f} %".format(plain["depth"], *line))
    print(f"{out}/degradation.png, degradation.json")
    return rows


def main(argv):
    if len(argv) > 1:
        raise ValueError(f"{argv[1]}: flags begin with --; see keras-resnet degradation --help")
    try:
        depths = [*map(int, FLAGS.depths)] or [int("")]
    except ValueError:
        raise ValueError(f"--depths={','.join(FLAGS.depths)}: expected numbers, as 8,20,32") from None
    given = (FLAGS.epochs, FLAGS.width, FLAGS.seed)
    for depth in depths:
        try:
            network_recipe(FLAGS.dataset, FLAGS.data_dir, depth, "plain", *given)
        except ValueError as error:
            raise ValueError(str(error).replace("--depth=", f"--depths={','.join(FLAGS.depths)}: ")) from None
    environment.load_tensorflow()
    compare(depths, FLAGS.dataset, FLAGS.data_dir, *given, FLAGS.out)


def run():
    """The program."""
    flags.DEFINE_list("depths", ["8", "20", "32", "44", "56"], "Layers of the networks, 6n+2 each.")
    flags.DEFINE_string("dataset", "digits", "As of train.")
    flags.DEFINE_string("data_dir", "", "Where TFDS keeps its data.")
    flags.DEFINE_integer("epochs", 8, "Of each training.", 1)
    flags.DEFINE_float("width", 0.5, "Multiplies all filters.")
    flags.DEFINE_integer("seed", 0, "Of each training.", 0)
    flags.DEFINE_string("out", "runs/degradation", "Folder of the runs, the table and the picture.")
    programs.start("degradation", main)
