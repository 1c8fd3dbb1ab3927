"""`train`: from a recipe to a finished run. Running it again continues where it was cut off, bit for bit.

Every random draw is a function of (seed, step), so a restart needs only weights, optimizer, step and best-so-far.
"""

import contextlib
import dataclasses
import gc
import math
import pathlib
import resource
import signal
import tempfile
import time

import tensorflow as tf

from keras_resnet import files, recipes, runs, tasks
from keras_resnet.data import DataError, order
from keras_resnet.data.dataset import reading
from keras_resnet.data.loading import load_data
from keras_resnet.history import best_row, finished_epochs, is_over, write_history
from keras_resnet.networks import prediction, pyramid
from keras_resnet.networks.weights import broken_weight, copy_weights, save_model
from keras_resnet.training import (
    averaging,
    callbacks,
    checkpoints,
    cluster,
    distillation,
    distribution,
    freezing,
    monitoring,
    normalization,
    optimization,
    regularization,
)
from keras_resnet.training.starting import build_model

SWEPT = 20  # epochs after which Python's garbage is collected


def train(
    recipe,
    run_dir,
    save_seconds=300,
    data=None,
    model=None,
    monitor=monitoring.NOTHING,
    wait_seconds=cluster.WAIT_SECONDS,
    service=None,
):
    """Trains a recipe in a folder of its own, or continues there.

    Args:
        recipe: `Recipe`.
        run_dir: `pathlib.Path` of the run's folder.
        save_seconds: time between two saves within an epoch; each epoch's end is saved too.
        data: `Data`; by default the recipe's is loaded.
        model: functional float32 `keras.Model` that is trained; by default the recipe's is made.
        monitor: `Monitor`: what is watched beside the history.
        wait_seconds: for the other workers at the start, of several machines.
        service: `data_service.Service` that makes the batches; None: they are made here.

    Returns:
        The `Data` that it was trained on, or None if the run was finished already.

    Raises:
        RunError: the folder is another run's, or it or its model has been removed.
        DataError: the data can't be had or learned from.
        Interrupted: SIGTERM or Ctrl-C came; the state is saved.
        Diverged: the loss is not finite; the last good state is kept.
        WorkersError, WorkerLost: of several machines one did not come, has other flags or data, or is gone.
        ServiceLost: the data service brings no more batches.
    """
    run, workers = runs.Run(run_dir), None
    with contextlib.ExitStack() as folder:
        if recipe.strategy == "multi_worker":
            workers = cluster.Cluster(recipe, wait_seconds, monitor.log_steps)
            folder.enter_context(workers.understood())
            if not workers.is_chief:  # which alone writes
                run = runs.Run(pathlib.Path(folder.enter_context(tempfile.TemporaryDirectory())))
        runs.check(run, recipe)
        folder.enter_context(runs.locked(run))
        if workers:
            workers.share_folder(run, bool(recipe.init))
        recipe = runs.extended(run, recipe)
        if data:
            runs.check_data(run, data)
        saved = runs.load_recipe(run) if runs.is_finished(run) else None
        if saved and saved.epochs >= recipe.epochs:
            if not data and (saved.dataset, saved.data_dir) != (recipe.dataset, recipe.data_dir):
                load_data(recipe, run)  # the same pictures elsewhere, or others, whose run this is not
            return None
        trainer = Trainer(recipe, run, save_seconds, data, model, monitor, workers, service)
        with callbacks.signals() as trainer.received, reading(trainer.data):
            trainer.fit()
        return trainer.data


def choose_hardware(recipe, run, workers=None):
    """What a run computes on: where its recipe says `auto`, what that became when the run began, on whatever machine.

    Raises:
        ValueError: this machine can't do that.
    """
    asked = {name: getattr(recipe, name) for name in ("strategy", "precision", "compile", "batch_norm")}
    if recipe.quantize != "none":
        asked["precision"] = "float32"
    began = {name: value for name, value in runs.chosen(run).items() if asked.get(name) == "auto"}
    try:
        shared = {"batch_size": recipe.batch_size, "accumulate": recipe.accumulate, "workers": workers}
        return distribution.choose(**{**asked, **began}, **shared)
    except ValueError as error:
        if not run.recipe.exists():
            raise
        flags = " ".join(f"--{name}={value}" for name, value in {**asked, **began}.items())
        raise runs.RunError(
            f"{run.path}: it began with {flags} on {files.read_json(run.recipe).get('hardware', 'another machine')}, "
            f"which this machine can't do ({error}); continue it on one like that, or begin anew with another --run_dir"
        ) from error


class Trainer:
    """The parts of one training, made once; `fit` goes through the epochs."""

    def __init__(
        self,
        recipe,
        run,
        save_seconds,
        data=None,
        model=None,
        monitor=monitoring.NOTHING,
        workers=None,
        service=None,
    ):
        self.run, self.save_seconds, self.monitor, self.workers = run, save_seconds, monitor, workers
        self.service = service
        self.writes = not workers or workers.is_chief
        self.profiled, self.step_log = False, None
        self.received = []  # signals, from `callbacks.signals`
        self.hardware = hardware = choose_hardware(recipe, run, workers)
        print(hardware.description, flush=True)
        self.data = data or load_data(recipe, run)
        if service:
            self.data.check_service(service, recipe.augmentations)
        if workers:
            workers.hold_data_alike(self.data)
        self.task = tasks.of(self.data.contract)
        self.best = self.task.best(recipe.best)
        self.chosen = {**hardware.chosen, "best": self.best}
        self.steps = len(self.data.train) // recipe.batch_size * recipe.passes
        if not self.steps:
            things = self.data.contract.input.THINGS
            if not len(self.data.train):
                raise DataError(f"no training {things} are left where others were drawn from them; give some more")
            raise DataError(
                f"--batch_size={recipe.batch_size}: there are only {len(self.data.train)} training {things}; "
                f"try {recipes.smaller_batch(recipe, len(self.data.train))}"
            )
        if not recipe.epochs:
            recipe = dataclasses.replace(recipe, epochs=recipes.epochs_for(recipe, self.steps))
            self.chosen["epochs"] = recipe.epochs
        self.recipe = recipe
        if 0 < self.steps * recipe.epochs < recipe.accumulate:  # a probe alone has no epoch
            raise DataError(
                f"--accumulate={recipe.accumulate}: the training has {self.steps * recipe.epochs} batches; give fewer"
            )
        self.validation = self.data.evaluation("validation", prediction.batch_size(recipe), pixels=True)
        self.model, teachers = build_model(recipe, self.data, self.task, run, model)
        full = self.data.contract.shape[:2]
        if recipe.train_size and self.task.move:
            self._check_windows(full)
        with hardware.strategy.scope():
            any_size = bool(recipe.progressive or recipe.train_size)
            noisy = regularization.noisy_layers(self.model, recipe)
            twins = [
                normalization.training_twin(model, hardware.norm, hardware.precision, any_size, noisy if not i else {})
                for i, model in enumerate((self.model, *teachers))
            ]
            self.layers = {layer.name: layer for layer in twins[0].layers if layer.trainable}
            self.frozen, self.settled = set(), True
            self._freeze(recipe.epochs)  # what stays so to the end has no place in the optimizer
            self.twin, *teachers = (normalization.from_pixels(self.task.whole(twin)) for twin in twins)
            if teachers:
                self.twin = distillation.Student(self.twin, teachers, self.task.taught)
            loss = self.task.taught_loss if teachers else self.task.loss
            self.optimizer = optimization.make_optimizer(
                recipe,
                recipe.epochs * self.steps,
                hardware.precision == "mixed_float16",
                freezing.factors(self.model, recipe),  # whose variables have the twin's paths
                next((layer.name for layer in reversed(self.model.layers) if hasattr(layer, "kernel")), ""),
            )
            self.optimizer.build(self.twin.trainable_variables)
            # Without float16's scaling of the loss: it counts the steps and knows their rate.
            self.inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
            regularization.wind(twins[0], recipe.seed, lambda: self.inner._iterations.value)
            if monitor.log_steps:
                only = tf.VariableAggregation.ONLY_FIRST_REPLICA
                self.inner.norm = tf.Variable(0.0, trainable=False, aggregation=only)
            self.twin.compile(
                self.optimizer,
                loss(recipe, getattr(self.data.train, "labels", None)),
                metrics=self.task.running(recipe),
                jit_compile=hardware.xla,
            )
            if workers:
                distribution.make_fit_work(self.twin, self.batches(0, 0).element_spec)
            self.predict = prediction.predictor(self.twin, hardware.xla)
            self.average = averaging.Average(self.twin, recipe.ema, recipe.accumulate) if recipe.ema else None
            self.progress = checkpoints.restore(run.checkpoint, self.twin, self.optimizer, self.average)
            if workers:
                self.progress = workers.share(
                    [variable for _, variable in checkpoints.variables(self.twin, self.optimizer, self.average)],
                    self.progress,
                )
        if self.progress.history and not run.model.exists():  # the best epoch's; the checkpoint has the last one's
            raise runs.model_removed(run)

    def _check_windows(self, full):
        """Refuses windows that are larger than the pictures, or whose maps would not fit together as those do."""
        pixels, most = self.recipe.train_size, min(full)
        if pixels <= most and pyramid.fits(self.model, recipes.at_shorter(full, pixels)):
            return
        sizes = [n for n in range(1, most + 1) if pyramid.fits(self.model, recipes.at_shorter(full, n))]
        why = (
            f"the pictures have {full[0]}x{full[1]} pixels"
            if pixels > most
            else f"cut out of {full[0]}x{full[1]} pixels, windows of such a side have maps that do not fit together"
        )
        nearest = sorted(sorted(sizes, key=lambda n: abs(n - pixels))[:3])
        would_do = f"nearest that do: {', '.join(map(str, nearest))}" if nearest else "drop it"
        raise DataError(f"--train_size={pixels}: {why}; {would_do}")

    def _freeze(self, epoch):
        """Makes the layers trainable that learn in an epoch, and no other; returns whether any of them changed.

        And lets the norms of an int8-aware training stay as they are for its last third.
        """
        before = self.frozen, self.settled
        self.frozen = freezing.frozen(self.model, self.recipe, epoch)
        self.settled = freezing.settled(self.recipe, epoch)
        for name, layer in self.layers.items():
            layer.trainable = name not in self.frozen
            if getattr(layer, "norm", None) is not None:
                layer.statistics = not self.settled
        return (self.frozen, self.settled) != before

    def save(self):
        if broken_weight(self.twin):  # a step with a finite loss can still ruin the weights
            raise self._diverged()
        if self.writes:
            runs.check_is_there(self.run)
            checkpoints.save(self.run.checkpoint, self.twin, self.optimizer, self.progress, self.average)

    def introduce(self):
        """Prints what is learned by what."""
        splits = " / ".join(f"{len(s):,}" for s in (self.data.train, self.data.validation, self.data.test))
        output = self.data.contract.output
        things, counted = self.data.contract.input.THINGS, f"{len(output.labels)} {output.COUNTED}"
        print(f"{self.data.name}: {splits} {things} to train / validate / test, {counted}")
        print(f"{self.model.name}: {self.model.count_params():,} parameters", flush=True)

    def fit(self):
        recipe, progress = self.recipe, self.progress
        self.introduce()
        if len(recipe.ends) > 1:
            before, now = recipe.ends[-2:]
            print(
                f"extends {before} epochs by {now - before}: the schedule ({recipe.schedule}) begins anew, at "
                f"{recipe.learning_rate / 10:.3g}",
                flush=True,
            )
        if progress.step:
            print(f"continues at step {progress.step:,} of {recipe.epochs * self.steps:,}", flush=True)
        elif self.steps < recipes.FEW_STEPS and recipe.batch_size > recipes.SMALL_BATCH:
            would_do = recipes.smaller_batch(recipe, len(self.data.train))
            print(f"few steps an epoch: {self.steps}; more would be made by {would_do}", flush=True)
        runs.begin(self.run, recipe, self.data, self.hardware, self.chosen)
        writer = monitoring.Writers(self.run, recipe, self.monitor.wandb and self.writes)
        if not progress.step:
            words = getattr(self.data.contract.input, "words", None)
            writer.tensorboard.begin(self.model, self.batches(0, 0, shown=True), recipe, words)
        for row in progress.history:  # a kill may have come between the last checkpoint and its row
            writer.epoch(row)
        if progress.history:
            write_history(self.run.history, progress.history)
        warning = None
        bar = callbacks.ProgressBar(recipe.epochs, self.steps, recipe.batch_size, progress.step, quiet=not self.writes)
        try:
            if recipe.init and not progress.step and not progress.history:
                self._end_epoch(writer, bar)  # what it starts with may be the best there will be
            for epoch in range(finished_epochs(progress.history), recipe.epochs):
                if is_over(progress.history, recipe, self.best):
                    bar.say(f"ends here: no better {self.best} in {recipe.patience} epochs")
                    break
                self._epoch(epoch, writer, bar)
                warning = self._end_epoch(writer, bar)
                if not (epoch + 1) % SWEPT:
                    # An epoch leaves circles that hold TensorFlow's functions; found late, they have spread the heap.
                    gc.collect()
            if warning:
                bar.say(f"validation after the last epoch: {warning}")
        finally:
            bar.close()
            writer.close()

    def _epoch(self, epoch, writer, bar):
        """The steps of one epoch, from wherever it was cut off."""
        watch = callbacks.StepWatch(
            self.progress, self._asked_to_stop, self.save, self.save_seconds, bool(self.workers)
        )
        first = self.progress.step - epoch * self.steps
        if first < self.steps:
            following = [averaging.Following(self.average, self.progress.step)] if self.average else []
            following += self._watching(writer, bar)
            if self._freeze(epoch):
                if self.workers:
                    distribution.make_train_function(self.twin)
                else:
                    self.twin.make_train_function(force=True)
            batches = self.batches(epoch, first)
            self.twin.fit(
                distribution.of_each(self.twin.distribute_strategy, batches) if self.workers else batches,
                initial_epoch=epoch,
                epochs=epoch + 1,
                steps_per_epoch=self.steps - first,
                callbacks=callbacks.StepCallbacks([*following, watch, bar], self.twin),
                shuffle=False,
                verbose=0,
            )
            if not watch.finite:
                raise self._diverged()
            self.progress.partial["step_seconds"] = watch.median_step_seconds()
            self.save()
            self._stop_if_asked()

    def _watching(self, writer, bar):
        """Callbacks of what `monitor` asks for."""
        watching = []
        if self.monitor.log_steps:
            if not self.step_log:
                self.step_log = monitoring.StepLog(
                    self.monitor.log_steps, self.progress, self._learning_rate, self.inner.norm, writer.steps
                )
            watching.append(self.step_log)
        if self.monitor.profile and not self.profiled:
            watching.append(monitoring.Profile(self.run.tensorboard, bar.say))
            self.profiled = True
        return watching

    def _end_epoch(self, writer, bar):
        """Makes the row of the epoch that is done, or of epoch 0: what a continued training starts with.

        The checkpoint holds the row before any log does: a log that misses it, for a kill, gets it at the next start.

        Returns:
            The task's warning, or None.
        """
        if self.workers:
            self.workers.hold_weights_alike(self.twin)
        figures, worn = self._validate(), contextlib.nullcontext()
        if self.average and self.progress.step:
            with self.average.worn():
                averaged = self._validate()
            rows = [{**self._row(of.scores()), "averaged": float(of is averaged)} for of in (figures, averaged)]
            row = best_row(rows, self.best)
            if row["averaged"]:
                figures, worn = averaged, self.average.worn()
        else:
            row = self._row(figures.scores())
        self.progress.history.append(row)
        self.progress.partial = {}
        with worn:
            self._keep_best(row)
        self.save()
        writer.epoch(row)
        write_history(self.run.history, self.progress.history)  # last: with it a run is over
        bar.say(_line(row, self.recipe.epochs))
        self._stop_if_asked()
        return figures.warning(self.data.contract.labels)

    def _validate(self):
        """The figures of the validation pictures. A signal ends it at once: it is made anew at the next start."""
        began, figures = time.monotonic(), self.task.accumulator()
        for images, labels in self.validation:
            figures.add(self.predict(images), labels.numpy())
            self._stop_if_asked()
        self.progress.seconds += time.monotonic() - began
        return figures

    def batches(self, epoch, first_step, shown=False):
        """The training batches of an epoch from a step on, pixels; or as floats and without a wait, to be shown."""
        recipe = self.recipe
        done, first_step = divmod(first_step, self.steps // recipe.passes)
        how = {
            "augment": recipe.augmentations,
            "magnitude": recipe.magnitude,
            "zoom": recipe.zoom,
            "pixels": not shown,
            "noise": True,
            "move": self.task.move,
            "mix": self.task.mix(recipe),
            "order": order.Order(recipe.sampling == "balanced", recipe.repeats, not shown),
            "sides": recipes.sides(recipe, self.data.contract.shape[:2], epoch),
            "part": self.workers.part if self.workers and not shown else (0, 1),
            "service": None if shown else self.service,
        }
        first, *others = range(epoch * recipe.passes + done, (epoch + 1) * recipe.passes)  # another pass, another order
        made = self.data.training(recipe.batch_size, recipe.seed, first, first_step, **how)
        for number in others:
            made = made.concatenate(self.data.training(recipe.batch_size, recipe.seed, number, **how))
        return made

    def _row(self, scores):
        partial = self.progress.partial or {"step_seconds": math.nan}
        return {
            "epoch": self.progress.step // self.steps,
            "step": self.progress.step,
            **{name: partial.get(name, math.nan) for name in ("loss", *self.task.RUNNING)},
            **{f"val_{name}": score for name, score in scores.items()},
            "learning_rate": self._learning_rate(max(0, self.progress.step - 1)),
            "images_per_second": self.recipe.batch_size / partial["step_seconds"],
            "seconds": self.progress.seconds,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    def _keep_best(self, row):
        """Saves the model, as stock layers, when its row is the best on the validation pictures."""
        if best_row(self.progress.history, self.best) is row and self.writes:
            runs.check_is_there(self.run)
            copy_weights(self.twin, self.model)
            save_model(self.model, self.run.model)

    def _asked_to_stop(self):
        """Whether a signal has come, to this process or, where there are several, to any of the workers."""
        if self.workers and self.workers.any(self.received):
            self.received.append(signal.SIGTERM)  # whatever came to the other
        return bool(self.received)

    def _stop_if_asked(self):
        if self._asked_to_stop():
            raise callbacks.Interrupted(self.received[0], self.progress.step)

    def _diverged(self):
        step, saved = self.progress.step + 1, self.run.checkpoint
        return callbacks.Diverged(step, self._learning_rate(step - 1), saved if saved.exists() else None)

    def _learning_rate(self, step):
        return float(self.inner._learning_rate(step))


def _line(row, epochs):
    """A row for people: its figures are what stands before the learning rate, validation's last."""
    names = list(row)[2 : list(row).index("learning_rate")]
    if not row["epoch"]:
        return "at the start     " + "  ".join(f"{n} {row[n]:.4f}" for n in names if n.startswith("val_"))
    figures = "  ".join(f"{name} {row[name]:.4f}" for name in names)
    return (
        f"epoch {row['epoch']:3d}/{epochs}  {figures}  learning rate {row['learning_rate']:.2g}  "
        f"{row['images_per_second']:,.0f} images/s"
    )


def describe(recipe):
    """A recipe in one line: the fields that differ from the defaults."""
    changed = (f for f in dataclasses.fields(recipe) if getattr(recipe, f.name) != f.default)
    return " ".join(f"--{f.name}={getattr(recipe, f.name)}" for f in changed)
