"""Learning a network's answers instead of labels: knowledge distillation (Hinton et al. 2015).

https://arxiv.org/abs/1503.02531, section 2, at temperature 1 and without labels. An int8-aware run learns so from the
float network it starts from (Mishra & Marr 2017, https://arxiv.org/abs/1711.05852): what is wanted of it is the same
answers. Labels would have it learn its training pictures by heart, since folded norms disturb it no longer.
"""

import keras


class Student(keras.Model):
    """A functional model whose training loss is against another network's probabilities; its metrics, against labels.

    Args:
        model: functional `keras.Model` that makes logits (batch, classes); the student shares its layers.
        teacher: `keras.Model` of the same input and output. It stays as it is, and belongs to no checkpoint.
    """

    def __init__(self, model, teacher):
        super().__init__(model.inputs, model.outputs[0], name=model.name)
        # Behind a function Keras does not see it, and counts no weights of its as this model's.
        self.probabilities = lambda images: keras.ops.softmax(teacher(images, training=False))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, self.probabilities(x) if training else y, y_pred, sample_weight, training)
