"""`sentence_network`: residual networks of several kernel widths over the words of a text, and naive Bayes beside them.

The blocks are `ResNet`'s, along one axis. Kernels of different widths as in Kim 2014, https://arxiv.org/abs/1408.5882;
numbers of words and of hashed pairs as in Joulin et al. 2016, https://arxiv.org/abs/1607.01759.
"""

import keras
from keras import layers

from keras_resnet import depths
from keras_resnet.networks import blocks

WIDTHS = (3, 5, 7)  # of the kernels, one for each of a CIFAR network's three stages
FILTERS = 32
PART = 0.15  # of the sum of all votes that counts at first
DEVIATION = 0.1  # of the numbers' first vectors


def sentence_network(text, num_classes, *, depth=8, width=1.0, activation="relu", name=None):
    """Builds a network of texts, randomly initialized.

    Args:
        text: the contract's `Text`.
        num_classes: logits.
        depth: 6n+2, as of the CIFAR family: n blocks of each width of kernels, side by side.
        width: multiplies the filters.
        activation: `"relu"` or `"relu6"`.
        name: of the model.

    Returns:
        A `keras.Model` from int32 (batch, length, numbers) to float32 logits (batch, num_classes): those of the
        residual networks, and of a vote of all numbers, each by itself (`"votes"`), which naive Bayes can begin.

    Raises:
        ValueError: of this depth there is no CIFAR network.
    """
    block, repeats, _ = depths.layout(depth)
    if block != "basic" or len(repeats) != len(WIDTHS):
        raise ValueError(f"--depth={depth}: of texts give 6n+2, as 8 or 14: n blocks of each width of kernels")
    filters, style = max(1, round(FILTERS * width)), blocks.Style(activation=activation, axes=1)
    length, numbers = text.shape
    ids = keras.Input(text.shape, dtype="int32", name="ids")
    start = keras.initializers.RandomNormal(stddev=DEVIATION)
    # Of words alone: as long a vector for each pair would be most of the file, and learn little.
    x = layers.Embedding(text.known, filters, start, name="words")(ids[:, :, 0])
    x = layers.Reshape((1, length, filters), name="words_row")(x)
    x = blocks.conv(x, filters, 1, 1, "stem_conv", style)
    x = blocks.relu(blocks.norm(x, "stem_norm", style), "stem_relu", style)
    pooled = []
    for stage, (kernel, repeat) in enumerate(zip(WIDTHS, repeats, strict=True), 2):
        y = x
        for i in range(1, repeat + 1):
            convs = [blocks.Conv(filters, kernel)] * 2
            y = blocks.post_activation_block(y, convs, f"stage{stage}_block{i}", style)
        pooled.append(layers.GlobalMaxPooling2D(name=f"stage{stage}_pool")(y))
    x = layers.Concatenate(name="head_pool")(pooled)
    logits = layers.Dense(num_classes, kernel_initializer="zeros", name="logits")(x)  # at first the votes decide alone
    votes = layers.Embedding(text.numbers, num_classes, "zeros", name="votes")(ids)
    votes = layers.Reshape((1, length * numbers, num_classes), name="votes_row")(votes)
    votes = layers.GlobalAveragePooling2D(name="votes_pool")(votes)
    # From a mean to a part of the sum: words, pairs and pieces say much the same several times.
    part = keras.initializers.Identity(length * numbers * PART)
    votes = layers.Dense(num_classes, use_bias=False, kernel_initializer=part, name="votes_logits")(votes)
    answer = layers.Add(name="answer", dtype="float32")([logits, votes])
    return keras.Model(ids, answer, name=name or f"sentences{depth}")
