"""Learning networks' answers instead of labels: knowledge distillation (Hinton et al. 2015).

https://arxiv.org/abs/1503.02531, section 2, at temperature 1 and without labels. A small network learns so from larger
ones, or from several of its own size (Furlanello et al. 2018, https://arxiv.org/abs/1805.04770). An int8-aware one
learns so from the float network it starts from (Mishra & Marr 2017, https://arxiv.org/abs/1711.05852): what is wanted
of it is the same answers. Labels would have it learn its training pictures by heart, since folded norms disturb it no
longer.
"""

import keras


class Student(keras.Model):
    """A functional model that learns the mean probabilities of other networks; its metrics are against the labels.

    Args:
        model: functional `keras.Model` that makes logits (batch, classes); the student shares its layers.
        teachers: `keras.Model`s of the same input and output. They stay as they are, and belong to no checkpoint.
        taught: from a teacher's output to probabilities (`Classification.taught`).
    """

    def __init__(self, model, teachers, taught=keras.ops.softmax):
        super().__init__(model.inputs, model.outputs[0], name=model.name)
        # Behind a function Keras does not see them, and counts no weights of theirs as this model's.
        self.probabilities = lambda images: probabilities(teachers, images, taught)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, self.probabilities(x) if training else y, y_pred, sample_weight, training)


def probabilities(teachers, images, taught=keras.ops.softmax):
    """The mean of several networks' probabilities (batch, classes) for pictures, in float32."""
    return sum(taught(teacher(images, training=False)) for teacher in teachers) / len(teachers)
