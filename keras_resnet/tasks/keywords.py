"""From which probability on a word counts as said: missed words against false alarms, for sounds that are listened to.

Labels that begin with `_`, as `_silence_`, are no words (`device.listening`).
"""

import numpy as np

from keras_resnet.device.classes import Classes
from keras_resnet.device.sound import Sound


class Keywords:
    """What was said of each recording, and how sure of it.

    Args:
        labels: names of the classes.
        seconds: that one recording is heard.
    """

    def __init__(self, labels, seconds):
        self.is_word = np.array([not name.startswith("_") for name in labels])
        self.seconds, self.parts = seconds, []

    def add(self, logits, targets):
        """Adds a batch: logits (n, classes), integers (n,)."""
        said = logits.argmax(-1)
        sure = np.array([Classes.activation(row)[k] for row, k in zip(logits, said, strict=True)])
        self.parts.append(np.stack([sure, said, targets.astype(float)]))

    def curve(self):
        """(thresholds, missed, alarms), arrays: a part of the words, and false alarms an hour, at each threshold.

        A word is missed that is not said, or said with less than the threshold. A false alarm is a word that is said
        where another was, or none.
        """
        sure, said, targets = np.concatenate(self.parts, 1)
        said, targets = said.astype(int), targets.astype(int)
        hits = np.sort(sure[self.is_word[said] & (said == targets)])
        wrong = np.sort(sure[self.is_word[said] & (said != targets)])
        thresholds = np.arange(1, 101) / 100  # as they are typed
        words = max(1, int(self.is_word[targets].sum()))
        missed = 1 - (len(hits) - np.searchsorted(hits, thresholds)) / words
        alarms = (len(wrong) - np.searchsorted(wrong, thresholds)) / (len(sure) * self.seconds / 3600)
        return thresholds, missed, alarms

    def chosen(self):
        """The threshold that makes the fewest faults of both kinds, JSON-ready.

        Of several it is that nearest the usual one: nothing speaks against it.
        """
        thresholds, missed, alarms = self.curve()
        _, _, targets = np.concatenate(self.parts, 1)
        words = self.is_word[targets.astype(int)].sum()
        faults = missed * words + alarms * len(targets) * self.seconds / 3600
        fewest = np.flatnonzero(np.round(faults - faults.min(), 6) == 0)
        i = fewest[np.abs(thresholds[fewest] - Sound.threshold).argmin()]
        names = ("threshold", "words_missed", "false_alarms_an_hour")
        return dict(zip(names, (float(one[i]) for one in (thresholds, missed, alarms)), strict=True))


def figure(words, title):
    """False alarms against missed words, along all thresholds, and the one that is chosen."""
    from keras_resnet.drawing import BLUE, ORANGE, pyplot

    (_, missed, alarms), chosen = words.curve(), words.chosen()
    made, axes = pyplot.subplots(figsize=(6, 4.4), layout="constrained")
    axes.step(alarms, 100 * missed, where="post", color=BLUE)
    axes.plot(chosen["false_alarms_an_hour"], 100 * chosen["words_missed"], "o", color=ORANGE)
    text = f"threshold {chosen['threshold']:.2f}"
    axes.annotate(
        text, (chosen["false_alarms_an_hour"], 100 * chosen["words_missed"]), (8, 8), textcoords="offset points"
    )
    axes.set(xlabel="false alarms an hour of these recordings", ylabel="words missed [%]", title=title)
    axes.set(xlim=(-0.02 * max(alarms.max(), 1), None), ylim=(-1, None))
    axes.grid(alpha=0.3)
    return made
