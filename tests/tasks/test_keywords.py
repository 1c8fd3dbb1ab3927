"""Missed words against false alarms, counted one by one."""

import numpy as np
import pytest

from keras_resnet import drawing
from keras_resnet.tasks import keywords

LABELS = ("_silence_", "no", "yes")


def words(said):
    """Of (probability, said, target), as logits; the others share the rest."""
    found = keywords.Keywords(LABELS, 0.5, 0.8)
    for sure, k, target in said:
        p = np.full(3, (1 - sure) / 2)
        p[k] = sure
        found.add(np.log(p)[None], np.array([target]))
    return found


def test_faults_are_counted_one_by_one():
    rng = np.random.default_rng(0)
    said = [(rng.uniform(0.4, 0.99), rng.integers(3), rng.integers(3)) for _ in range(200)]
    found, hours = words(said), 200 * 0.5 / 3600
    thresholds, missed, alarms = found.curve()
    assert (np.diff(thresholds) > 0).all()
    for threshold, part, rate in list(zip(thresholds, missed, alarms, strict=True))[::7]:
        named = [k if k and sure >= threshold - 1e-9 else 0 for sure, k, _ in said]
        truth = [target for *_, target in said]
        spoken = [(a, b) for a, b in zip(named, truth, strict=True) if b]
        assert part == pytest.approx(np.mean([a != b for a, b in spoken]))
        assert rate == pytest.approx(sum(a not in (0, b) for a, b in zip(named, truth, strict=True)) / hours)
    chosen = found.chosen()
    faults = missed * sum(target > 0 for *_, target in said) + alarms * hours
    i = list(thresholds).index(chosen["threshold"])
    assert faults[i] == pytest.approx(faults.min()) and chosen["words_missed"] == missed[i]
    assert (drawing.pixels(keywords.figure(found, "title")) != 255).any()
    at = found.at(0.8)  # the threshold it is given, whatever another would cost
    assert (at["words_missed"], at["false_alarms_an_hour"]) == (missed[79], alarms[79]) and at["threshold"] == 0.8


def test_what_is_sure_and_right_sets_the_threshold():
    chosen = words([(0.9, 1, 1), (0.8, 2, 2), (0.75, 1, 0), (0.99, 0, 0)]).chosen()
    assert chosen["threshold"] == pytest.approx(0.76, abs=0.011)  # of several the nearest to 0.7
    assert chosen["words_missed"] == chosen["false_alarms_an_hour"] == 0
    assert words([(0.5, 1, 1), (0.9, 2, 2)]).chosen()["threshold"] == pytest.approx(0.5, abs=0.011)
    assert words([(0.9, 0, 0), (0.9, 1, 1)]).chosen()["threshold"] == 0.7
    assert words([(0.9, 0, 0)]).chosen()["false_alarms_an_hour"] == 0
    rare = words([(0.5, 1, 1), (0.55, 1, 0), (0.56, 2, 0), *[(0.9, 0, 0)] * 7])  # one word, missed, or two alarms
    assert rare.chosen()["threshold"] > 0.56


def test_what_is_typed_is_what_was_counted():
    """Hits a hair above and faults a hair below: no threshold of two digits tells them apart."""
    chosen = words([(0.6462, 1, 1)] * 3 + [(0.6461, 1, 2)] * 2).chosen()
    assert chosen["threshold"] == round(chosen["threshold"], 2)
    assert (chosen["threshold"] > 0.6462) == (chosen["words_missed"] == 1.0)
