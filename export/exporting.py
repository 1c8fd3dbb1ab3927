"""One export: the models, the files of each format, the golden pictures, the comparison."""

import dataclasses
import sys

import tqdm

from keras_resnet import files, recipes, runs, tasks
from keras_resnet.data.loading import load_data
from keras_resnet.device.reader import Reader
from keras_resnet.device.several import SINGLE
from keras_resnet.networks.weights import broken_weight, fitting
from keras_resnet.quantization import quantize_aware
from keras_resnet.quantization.saved import load_model
from keras_resnet.training import callbacks, trainer

from . import android, comparison, conversion, fidelity, golden, layers, metadata, microcontroller

BESIDE = 32  # pictures on which a file and its simulation are compared operator by operator


class ExportError(ValueError):
    """A run that can't be exported; the message says what to type."""


def export(run_dir, options):
    """Exports a finished run; see `Export`, and `Export.run` for the exit status."""
    return Export(run_dir, options).run()


class Export:
    """What one export works on.

    Args:
        run_dir: a finished run's folder.
        options: `Options` of the command line.

    Raises:
        RunError, ExportError: the run is not finished.
        DataError: its data set can't be had any more.
    """

    def __init__(self, run_dir, options):
        self.run_, self.options = runs.Run(run_dir), options
        self.recipe = runs.load_recipe(self.run_)
        if not runs.is_finished(self.run_):
            runs.check_model(self.run_)
            raise ExportError(f"{run_dir}: this run is not finished; the same train.py command continues it")
        self.folder = run_dir / "export"
        self.qat = runs.Run(run_dir / "qat")
        self.models = {"float": self._load(self.run_)}
        self.recipe = recipes.at(self.recipe, options.dataset, options.data_dir)
        self.data = load_data(self.recipe, self.run_)
        contract = runs.load_contract(self.run_)
        if hasattr(contract.output, "scores"):
            output = dataclasses.replace(contract.output, scores=options.output)
            contract = dataclasses.replace(contract, output=output)
        elif options.output != "logits":
            raise ExportError(
                f"--output=probabilities: scores of a {contract.output.KIND} stay logits, fine in int8; drop it"
            )
        if options.android and contract.input.KIND not in SINGLE:
            raise ExportError(f"--android: the app has no {contract.input.THINGS}; drop it")
        self.task = tasks.of(contract)
        self.pictures = self.data.calibration(options.calibration, self.recipe.seed)

    def run(self):
        """Makes and compares all files. Returns the exit status: 0; 1, int8-qat lost too much; 3, a format failed."""
        paths, failed = {}, {}
        for name in self._formats():
            try:
                paths[name] = self._write(name)
                print(f"{name:10} {paths[name].stat().st_size:12,} bytes  {paths[name]}", flush=True)
            except (ValueError, callbacks.Diverged) as error:
                failed[name] = str(error)
                print(f"{name:10} failed: {error}", file=sys.stderr)
        lost = self._compare(paths) if paths else 0.0
        if self.options.layers:
            self._report_layers(paths)
        if failed:
            if self.options.android:
                print("android: nothing was copied, since a format failed", file=sys.stderr)
            return 3
        if self.options.android:
            print(f"android: {android.bundle(paths, self.run_.path.resolve().name)}")
        if lost > self.options.tolerance:
            print(f"int8-qat lost {lost:.2f} points, more than --tolerance={self.options.tolerance}", file=sys.stderr)
        return int(lost > self.options.tolerance)

    def _formats(self):
        """What is asked for, or all that can be made without a further training."""
        if self.options.formats is not None:
            return self.options.formats
        usual = list(conversion.FORMATS)
        if self.task.contract.input.KIND == "text":
            usual.remove("int16x8")  # its calibration knows no integers
        if not self.options.qat_epochs and not runs.is_finished(self.qat):
            usual.remove("int8-qat")
            print(f"int8-qat   left out: {self._no_qat()}", flush=True)
        return usual

    def _no_qat(self):
        return f"no finished int8-aware run in {self.qat.path}; add --qat_epochs={self._continued().epochs}"

    def _load(self, run):
        model = load_model(run.model)
        broken = broken_weight(model)
        if broken:
            raise ExportError(f"{run.model}: weight {broken} is not finite; {files.RESTORE}")
        return fitting(model, runs.load_contract(run), run.model)

    def _quantized(self):
        """Finds or trains the int8-aware model that `int8-qat` is made of."""
        recipe = self._continued()
        if self.options.qat_epochs:
            recipe = dataclasses.replace(recipe, epochs=self.options.qat_epochs)
            try:
                runs.check(self.qat, recipe)
            except runs.RunError as error:
                raise ExportError(f"{error}; without --qat_epochs it is exported as it is") from error
            trainer.train(recipe, self.qat.path, data=self.data)
        if not runs.is_finished(self.qat):
            raise ExportError(self._no_qat())
        return self._load(self.qat)

    def _continued(self):
        return recipes.continued(self.recipe, str(self.run_.path), "int8")

    def _by_tfmot(self):
        """Trained as the int8-aware run is, if there is one, so that the two can be compared."""
        if not self.task.PER_PICTURE:
            kind = self.task.contract.output.KIND
            raise conversion.ConversionError(f"its training knows no {kind}; leave it out of --formats")
        recipe = runs.load_recipe(self.qat) if runs.is_finished(self.qat) else self._continued()
        epochs = self.options.qat_epochs or recipe.epochs
        recipe = dataclasses.replace(recipe, init=str(self.run_.path), epochs=epochs)
        return conversion.by_tfmot(recipe, self.options.io, self.options.output)

    def _content(self, name):
        if name == "int8-tfmot":
            return self._by_tfmot()
        if name == "int8-qat":
            self.models[name] = self._quantized()
        model = self._answering(self.models.get(name, self.models["float"]))
        raw = self.task.contract.input.KIND != "text"
        return conversion.convert(name, model, self.pictures, self.options.io, raw)

    def _answering(self, model):
        """A model as its file ends: with logits or, by `--output`, with probabilities."""
        if self.options.output == "logits":
            return model
        return conversion.with_probabilities(model, self.task.ACTIVATION)

    def _write(self, name):
        content = self._content(name)
        # First: nothing is written of a file that was asked for a microcontroller and can't run on one.
        sources = self._sources(name, content)
        title = f"{self.models['float'].name} ({name})"
        card = metadata.card(title, self.options)
        path = self.folder / f"{self.models['float'].name}-{name}.tflite"
        files.write_bytes(path, metadata.embed(content, self.task.contract, card))
        for suffix, text in sources.items():
            files.write_text(path.with_suffix(suffix), text)
        return path

    def _sources(self, name, content):
        """Suffix -> text of the C++ files of an int8 file, where they are asked for; without its metadata."""
        if not (self.options.c_array and name.startswith("int8")):
            return {}
        try:
            return microcontroller.sources(content)
        except microcontroller.MicrocontrollerError as error:
            raise ExportError(f"{error}; leave out --c_array") from error

    def _compare(self, paths):
        """Prints and writes the comparison; returns the points that int8-qat lost against float."""
        beside, images = self._ask(paths)
        rows = beside.rows(paths, images)
        accuracy, total = beside.figure(), len(self.data.split(self.options.split))
        count = f"{total:,}" if beside.pictures == total else f"{beside.pictures:,} of {total:,}"
        part = f"{count} {self.task.contract.input.THINGS}"
        title = f"{self.models['float'].name} · {self.data.name} · {self.options.split} ({part})"
        about = {
            "split": self.options.split,
            "pictures": beside.pictures,
            "of": total,
            "output": "values" if self.task.contract.output.TENSORS else self.options.output,
            "calibration": {"pictures": len(self.pictures), "seed": self.recipe.seed},
            "float_loss": beside.loss / beside.pictures,
            **runs.origin(),
        }
        comparison.write(self.folder, rows, accuracy, title, about, self.task.SCORE)
        print(f"\n{title}: Keras float32 {100 * accuracy:.2f} %")
        print(comparison.table(rows, about["output"], comparison.named(self.task.SCORE)))
        print(f"comparison: {self.folder}/comparison.json, .md, .png")
        return max((-100 * row.difference for row in rows if row.format == "int8-qat"), default=0.0)

    def _ask(self, paths):
        """Asks files and models for all pictures; writes the golden ones. Returns the `Comparison` and those."""
        split, asked = self.options.split, self.options.pictures
        readers = {name: Reader(path, self.options.threads) for name, path in paths.items()}
        models = {name: self._answering(model) for name, model in self.models.items()}
        beside, choice = comparison.Comparison(readers, models, self.task), golden.Choice()
        total = len(self.data.split(split))
        with tqdm.tqdm(
            total=min(asked or total, total), desc=split, unit=" images", disable=not sys.stderr.isatty()
        ) as bar:
            for images, labels in comparison.batches(self.data, split, asked):
                choice.add(images, self.task.groups(labels))
                beside.add(images, labels)
                bar.update(len(labels))
        for name, path in paths.items():
            golden.write(path, readers[name], choice.things(self.data.raw and self.data.raw[split]))
        return beside, choice.images

    def _report_layers(self, paths):
        """Prints and writes the layer report: of the int8-aware model, else of the float one with calibrated ranges."""
        kind = "int8-qat" if "int8-qat" in self.models else "int8-ptq"
        model = self.models.get("int8-qat")
        model = model or quantize_aware(self.models["float"], self.pictures, search=self.task.RANGES)
        rows = layers.measure(model, self.pictures)
        title = f"{self.models['float'].name} · {kind} · {self.data.name} ({len(self.pictures)} training pictures)"
        layers.write(self.folder, rows, title)
        print(f"\n{title}\n{layers.table(rows)}\nlayers: {self.folder}/layers.json, .png")
        if kind in paths and kind == "int8-qat":
            content, beside = paths[kind].read_bytes(), self.pictures[:BESIDE]
            print(f"file and simulation: {fidelity.report(self._answering(model), content, beside)}")
