"""`keras-resnet explain RUN PICTURE…`: which places of a picture speak for a class (Grad-CAM).

Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391: the channels of a stage's map, each by the mean of its gradient
of the class's score, added up; what speaks against the class is left out. Of boxes the score is that of the cell where
the class is likeliest, of masks the mean of those where it is the likeliest class (Vinogradova et al. 2020,
https://arxiv.org/abs/2002.11434). Since these look at places of the map, and not at its mean, each place has its own
gradient there (HiResCAM, Draelos & Carin 2020, https://arxiv.org/abs/2011.08891).
"""

import collections
import pathlib
import re

import numpy as np
from absl import flags

from keras_resnet import environment, models, programs, runs

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
CLASSES = 3  # that are shown where none is asked for
LETTERS = 40  # of a text that its figure is named by


def heat(model, task, pixels, label, stage):
    """Where a picture speaks for a class.

    Args:
        model: functional `keras.Model` of a run.
        task: what it has learned.
        pixels: uint8 (height, width, channels), as the contract prepares them.
        label: number of the class.
        stage: name of the stage whose map is looked at, as `stage5`.

    Returns:
        float32 (height, width) in [0, 1]; all 0 where nothing speaks for it.

    Raises:
        ValueError: the network has no such stage.
    """
    import keras
    import tensorflow as tf

    from keras_resnet.networks.transfer import feature_maps

    maps = {f"stage{name[1:]}": made for name, made in feature_maps(model).items()}
    if stage not in maps:
        raise ValueError(f"--stage={stage}: choose {', '.join(maps)}")
    both = keras.Model(model.inputs, [maps[stage], *model.outputs])

    # A graph: alone, step by step, TensorFlow takes the kernels' gradients, too, and oneDNN's may be wrong or end the
    # process (`networks.convolution`).
    @tf.function
    def seen_for(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            seen, *outputs = both([x], training=False)
            evidence = task.evidence(outputs, label)
        weights = tape.gradient(evidence, seen)
        weights = tf.reduce_mean(weights, (1, 2), keepdims=True) if task.PER_PICTURE else weights
        return tf.nn.relu(tf.reduce_sum(seen * weights, -1, keepdims=True))

    found = seen_for(tf.constant(task.contract.input.scaled(pixels)[None]))
    found = tf.image.resize(found, pixels.shape[:2])[0, ..., 0].numpy()
    return found / found.max() if found.max() > 0 else found


def figure(pixels, maps, title):
    """A picture, and beside it where it speaks for each class.

    Args:
        pixels: uint8 (height, width, channels).
        maps: list of (text above it, `heat`).
        title: of the figure.
    """
    from keras_resnet.drawing import pyplot

    size = (3.1 * (1 + len(maps)), 3.1 * pixels.shape[0] / pixels.shape[1] + 0.9)
    made, panels = pyplot.subplots(1, 1 + len(maps), figsize=size, layout="constrained")
    for axes, (text, over) in zip(panels, [("picture", None), *maps], strict=True):
        axes.imshow(np.squeeze(pixels), cmap="gray", vmin=0, vmax=255)
        if over is not None:
            shown = axes.imshow(over, cmap="magma", vmin=0, vmax=1, alpha=0.25 + 0.6 * over)
        axes.set_title(text, fontsize=9)
        axes.axis("off")
    made.colorbar(shown, ax=panels, label="speaks for it, part of the most", shrink=0.8, pad=0.01)
    made.suptitle(title, fontsize=10)
    return made


def explain(name, paths, stage="", labels=(), out=None, texts=()):
    """Writes a figure for each picture or text; returns their paths. Of texts the words are printed, too (`words`).

    Args:
        name: a run's folder or a shipped model's name.
        paths: of pictures and folders.
        stage: as of `heat`; by default the last one.
        labels: names of the classes; by default the likeliest ones of each picture.
        texts: that are looked at besides files, of a run of texts.
        out: folder; by default `figures/explained` of the run, or here.

    Raises:
        ValueError: something given can't be; the message says what was expected.
    """
    import keras

    from keras_resnet import drawing, tasks
    from keras_resnet.quantization.saved import load_model

    if pathlib.Path(name).suffix == ".tflite":
        raise ValueError(f"{name}: a .tflite has no gradients; give the run that it was made of")
    path = pathlib.Path(name) if pathlib.Path(name).is_dir() else models.folder(name)
    run_ = runs.Run(path)
    runs.check_model(run_)
    model, contract = load_model(run_.model), runs.load_contract(run_)
    task = tasks.of(contract)
    if unknown := [label for label in labels if label not in contract.labels]:
        raise ValueError(f"--labels={unknown[0]}: choose of {', '.join(contract.labels[:20])}")
    last = [layer.name for layer in model.layers if layer.name.startswith("stage")][-1:]
    stage = stage or (last[0].split("_")[0] if last else "")
    folder = pathlib.Path(out or (run_.figures / "explained" if pathlib.Path(name).is_dir() else "."))
    if contract.input.KIND == "text":
        return _explain_texts(model, contract, paths, texts, labels, folder)
    if texts or contract.input.KIND != "picture":
        raise ValueError(
            f"{name}: its network takes {contract.input.THINGS}; give files of pictures to one of pictures"
        )
    written = []
    for path in contract.input.find(paths):
        pixels = contract.input.read(path, path)
        given = keras.tree.pack_sequence_as(model._inputs_struct, [contract.input.scaled(pixels)[None]])
        made = [np.asarray(one)[0] for one in keras.tree.flatten(model(given, training=False))]
        shown = contract.output.answer(made if len(made) > 1 else made[0], CLASSES)
        asked = labels or list(dict.fromkeys(label for label, _ in task.named(shown)))[:CLASSES]
        if not asked:
            print(f"{path}: nothing found; --labels=NAME says what to look for")
            continue
        sure = {}
        for label, probability in task.named(shown):
            sure.setdefault(label, f" {100 * probability:.0f} %")
        maps = []
        for label in asked:
            over = heat(model, task, pixels, contract.labels.index(label), stage)
            maps.append((drawing.short(label) + sure.get(label, ""), over))
        written.append(folder / f"{path.stem}-{stage}.png")
        drawing.save(figure(pixels, maps, f"{path.name} · Grad-CAM of {stage}"), written[-1])
        print(f"{path}: {', '.join(text for text, _ in maps)}  {written[-1]}", flush=True)
    return written


def _explain_texts(model, contract, paths, texts, labels, folder):
    from keras_resnet import drawing
    from keras_resnet.device import text_files
    from keras_resnet.device.text import tokens
    from keras_resnet.reports import words

    seen = collections.Counter()
    given = [(path.stem, text_files.read(path, path)) for path in (contract.input.find(paths) if paths else ())]
    given += [(re.sub(r"\W+", "-", text.lower())[:LETTERS].strip("-"), text) for text in texts]
    written = []
    for name, text in given:
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        ids = contract.input.ids(text)
        if not ids.any():
            print(f"{name or 'text'}: no word or mark in it")
            continue
        shown = contract.answer(model.predict_on_batch(ids[None])[0], None)
        sure, maps = dict(shown.top), []
        for label in labels or [shown.top[0][0]]:
            weighed = words.weights(model, ids, contract.labels.index(label))
            said = tokens(text)[: len(weighed)]
            maps.append((f"{label} {100 * sure.get(label, 0):.0f} %", weighed))
            print(f"{name}, {maps[-1][0]}: {words.line(said, weighed)}", flush=True)
        written.append(folder / f"{name}-words.png")
        drawing.save(words.figure(said, maps, f"{name} · what each word changes"), written[-1])
        print(f"  {written[-1]}")
    return written


def main(argv):
    if len(argv) < (2 if FLAGS.text else 3):
        raise ValueError("expected a run's folder and pictures; type keras-resnet explain runs/NAME PICTURE…")
    environment.load_tensorflow()
    explain(argv[1], argv[2:], FLAGS.stage, FLAGS.labels, FLAGS.out, FLAGS.text)


def run():
    """The program."""
    flags.DEFINE_string("stage", "", "Whose map is looked at, as stage3; by default the last one's.")
    flags.DEFINE_list("labels", [], "Names of the classes; by default the likeliest of each picture.")
    flags.DEFINE_multi_string("text", [], "A text, of a run of texts; it may come again.")
    flags.DEFINE_string("out", None, "Folder of the figures; by default figures/explained in the run's.")
    programs.start("explain", main)
