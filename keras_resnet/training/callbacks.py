"""What happens after each training step: the progress bar, a look at the loss, and the reasons to stop or save."""

import contextlib
import math
import signal
import statistics
import sys
import time

import keras
import tqdm


class Interrupted(Exception):
    """A signal ended the training after its state was saved."""

    def __init__(self, number, step):
        super().__init__(
            f"{signal.Signals(number).name}: saved at step {step:,}; the same command continues from there"
        )
        self.exit_status = 128 + number


class Diverged(Exception):
    """The loss is not a number any more. Starting again would not help: no status on which a cluster does so."""

    exit_status = 4

    def __init__(self, step, learning_rate, checkpoint):
        super().__init__(
            f"the loss is not finite at step {step:,} (learning rate {learning_rate:.4g}); "
            f"try --learning_rate={learning_rate / 3:.2g} or a longer --warmup, with another --run_dir. "
            + (f"The last good state is kept: {checkpoint}" if checkpoint else "Nothing had been saved yet")
        )


@contextlib.contextmanager
def signals():
    """Turns SIGTERM and the first Ctrl-C into a note: yields a list that holds the signal's number once it has come."""
    received = []

    def note(number, frame):
        if received and number == signal.SIGINT:  # a second Ctrl-C wants out at once
            raise KeyboardInterrupt
        received.append(number)

    old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class StepCallbacks(keras.callbacks.CallbackList):
    """Callbacks that get a step's logs as tensors. Keras' own list makes numbers of them: the host waits each time."""

    def __init__(self, callbacks, model):
        super().__init__(callbacks, add_history=True, model=model)  # `fit` returns the history

    def on_train_batch_end(self, batch, logs=None):
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)


class StepWatch(keras.callbacks.Callback):
    """Counts steps, and stops the epoch when a signal has come or the loss is not finite.

    It looks at the losses after the first step, which traces, then about once in `LOOK_SECONDS`, before a save and at
    the end: looking waits for the device. No step is missed: what was not looked at is looked at later, one by one.

    Args:
        progress: the training's `Progress`; its step and partial sums are as of the last look.
        asked_to_stop: function without arguments that says whether to stop after this step.
        save: function without arguments that saves the state.
        save_seconds: time between two saves within an epoch.
        always: whether every step is looked at: several machines have to stop at the same one.
    """

    LOOK_SECONDS = 1.0

    def __init__(self, progress, asked_to_stop, save, save_seconds, always=False):
        super().__init__()
        self.progress, self.asked_to_stop, self.save, self.save_seconds = progress, asked_to_stop, save, save_seconds
        self.always = always
        self.finite = True
        self.unseen = []  # logs of the steps since the last look
        self.seen = 0
        self.step_seconds = []  # a step's, between two looks
        self.earlier = dict(progress.partial) or {"steps": 0}
        self.saved_at = self.looked_at = time.monotonic()

    def on_train_batch_end(self, batch, logs):
        self.unseen.append(logs)
        now = time.monotonic()
        save = now - self.saved_at > self.save_seconds
        stop = self.asked_to_stop()
        if self.always or stop or save or not self.seen or now - self.looked_at > self.LOOK_SECONDS:
            self._look()
        if stop:
            self.model.stop_training = True
        elif save and self.finite:
            self.progress.partial["step_seconds"] = self.median_step_seconds()
            self.save()
            self.saved_at = time.monotonic()

    def on_train_end(self, logs=None):
        if self.unseen and self.finite:
            self._look()

    def _look(self):
        for logs in self.unseen:
            means = {name: float(value) for name, value in logs.items()}
            if not math.isfinite(means["loss"]):
                self.finite, self.model.stop_training = False, True
                break
            self.seen += 1
            self.progress.step += 1
            self.progress.partial = self._merged(means)
        now = time.monotonic()
        self.step_seconds.append((now - self.looked_at) / len(self.unseen))
        self.progress.seconds += now - self.looked_at
        self.looked_at, self.unseen = now, []

    def _merged(self, means):
        """Means over the whole epoch, from what was before an interruption and Keras' own means since."""
        before, since = self.earlier["steps"], self.seen
        steps = before + since
        return {
            "steps": steps,
            **{name: (self.earlier.get(name, 0.0) * before + mean * since) / steps for name, mean in means.items()},
        }

    def median_step_seconds(self):
        """Median, because clocks stall: a mean would tell of the machine's other work. The first step traces."""
        return statistics.median(self.step_seconds[1:] or self.step_seconds)


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole training: images/s, time left, loss and metrics."""

    def __init__(self, epochs, steps, batch_size, first_step, quiet=False):
        super().__init__()
        self.epochs, self.steps, self.batch_size, self.step = epochs, steps, batch_size, first_step
        interactive = sys.stderr.isatty()
        self.bar = tqdm.tqdm(
            total=epochs * steps * batch_size,
            initial=first_step * batch_size,
            unit=" images",
            unit_scale=True,
            smoothing=0.05,
            mininterval=0.2 if interactive else 60,
            dynamic_ncols=True,
            disable=quiet,
        )
        self.quiet = quiet

    def on_train_batch_end(self, batch, logs):
        if self.quiet:
            return
        self.step += 1
        epoch = -(-self.step // self.steps)
        self.bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
        if time.time() - self.bar.last_print_t >= self.bar.mininterval:  # it is drawn now: numbers wait for the device
            self.bar.set_postfix(
                {name: f"{float(logs[name]):.3f}" for name in sorted(logs, key="loss".__ne__)}, refresh=False
            )
        self.bar.update(self.batch_size)

    def say(self, line):
        """Prints a line above the bar."""
        if not self.quiet:
            self.bar.write(line)

    def close(self):
        self.bar.close()
