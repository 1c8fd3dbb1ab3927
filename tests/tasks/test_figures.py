"""Pictures of a classifier's answers, where there are many classes, and no mistakes."""

import numpy as np

from keras_resnet import drawing
from keras_resnet.tasks import figures, metrics


def test_figures_of_many_classes_and_of_no_mistakes(tmp_path):
    accumulated, names = metrics.Accumulator(1000), [f"class {i} of $\\many$ with a long name" for i in range(1000)]
    rng = np.random.default_rng(0)
    for _ in range(4):
        labels = rng.integers(0, 1000, 250)
        accumulated.add(rng.normal(0, 1, (250, 1000)) + 4 * np.eye(1000)[labels], labels)
    confusion = figures.confusion(accumulated, names, "a thousand classes")
    assert len(confusion.axes[0].get_xticks()) == figures.MOST_CLASSES
    assert "30 of 1,000 classes" in confusion.axes[0].get_title()
    assert drawing.pixels(confusion).shape[2] == 3
    drawing.save(figures.mistakes([], "nothing wrong"), tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 1000


def test_mistakes_of_pictures_waves_and_texts(tmp_path):
    for i, thing in enumerate((np.zeros((8, 8, 3), np.uint8), np.zeros((1, 500, 1), np.uint8), "size 12, colour …")):
        drawing.save(figures.mistakes([(thing, "a 60 %\nis b")] * 2, "wrong"), tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 1000


def test_the_legend_hides_no_bar():
    rng = np.random.default_rng(0)
    confidences = rng.random(2000)
    figure = figures.reliability(metrics.binned(confidences, rng.random(2000) < 1 - confidences / 2), "modest")
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_tightbbox()) for axes in figure.axes)
    drawing.pixels(figure)
