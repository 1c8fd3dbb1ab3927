"""From which probability on a word counts as said: missed words against false alarms, for sounds that are listened to.

Labels that begin with `_`, as `_silence_`, are no words (`device.listening`).
"""

import numpy as np

from keras_resnet.device.classes import Classes
from keras_resnet.device.sound import Sound

TYPED = np.arange(1, 101) / 100  # thresholds as people type them


class Keywords:
    """What was said of each recording, and how sure of it.

    Args:
        labels: names of the classes.
        seconds: that one recording is heard.
        threshold: from which probability on a word counts, as the contract has it.
    """

    def __init__(self, labels, seconds, threshold):
        self.is_word = np.array([not name.startswith("_") for name in labels])
        self.seconds, self.threshold, self.parts = seconds, threshold, []

    def add(self, logits, targets):
        """Adds a batch: logits (n, classes), integers (n,)."""
        said = logits.argmax(-1)
        sure = np.array([Classes.activation(row)[k] for row, k in zip(logits, said, strict=True)])
        self.parts.append(np.stack([sure, said, targets.astype(float)]))

    def curve(self, thresholds=TYPED):
        """(thresholds, missed, alarms), arrays: a part of the words, and false alarms an hour, at each threshold.

        A word is missed that is not said, or said with less than the threshold. A false alarm is a word that is said
        where another was, or none.
        """
        sure, said, targets = np.concatenate(self.parts, 1)
        said, targets = said.astype(int), targets.astype(int)
        hits = np.sort(sure[self.is_word[said] & (said == targets)])
        wrong = np.sort(sure[self.is_word[said] & (said != targets)])
        words = max(1, int(self.is_word[targets].sum()))
        missed = 1 - (len(hits) - np.searchsorted(hits, thresholds)) / words
        alarms = (len(wrong) - np.searchsorted(wrong, thresholds)) / (len(sure) * self.seconds / 3600)
        return thresholds, missed, alarms

    def at(self, threshold):
        """What a threshold costs, JSON-ready."""
        names = ("threshold", "words_missed", "false_alarms_an_hour")
        return dict(zip(names, (float(one[0]) for one in self.curve(np.array([threshold]))), strict=True))

    def chosen(self):
        """`at` the threshold that makes the fewest faults of both kinds.

        Of several it is that nearest the usual one: nothing speaks against it.
        """
        thresholds, missed, alarms = self.curve()
        _, _, targets = np.concatenate(self.parts, 1)
        words = self.is_word[targets.astype(int)].sum()
        faults = missed * words + alarms * len(targets) * self.seconds / 3600
        fewest = np.flatnonzero(np.round(faults - faults.min(), 6) == 0)
        return self.at(thresholds[fewest[np.abs(thresholds[fewest] - Sound.threshold).argmin()]])


def figure(words, title):
    """False alarms against missed words, along all thresholds, and the one that the contract has."""
    from keras_resnet.drawing import BLUE, ORANGE, pyplot

    (_, missed, alarms), at = words.curve(), words.at(words.threshold)
    place = at["false_alarms_an_hour"], 100 * at["words_missed"]
    made, axes = pyplot.subplots(figsize=(6, 4.4), layout="constrained")
    axes.step(alarms, 100 * missed, where="post", color=BLUE)
    axes.plot(*place, "o", color=ORANGE)
    axes.annotate(f"threshold {at['threshold']:.2f}", place, (8, 8), textcoords="offset points")
    axes.set(xlabel="false alarms an hour of these recordings", ylabel="words missed [%]", title=title)
    axes.set(xlim=(-0.02 * max(alarms.max(), 1), None), ylim=(-1, None))
    axes.grid(alpha=0.3)
    return made
