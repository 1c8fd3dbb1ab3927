"""TFDS sets of texts with a class each, as `imdb_reviews` and `ag_news_subset`: in memory."""

import numpy as np

from keras_resnet.data import DataError, texts
from keras_resnet.data.streams import named_features


def written(builder):
    """The names of a TFDS set's text and its label among the features, or None, as of one of pictures with names."""
    import tensorflow_datasets as tfds

    features, keys = named_features(builder), builder.info.supervised_keys
    others = tfds.features.Image | tfds.features.Video | tfds.features.Audio
    if any(isinstance(one, others) for one in features.values()):
        return None
    told = [key for key, one in features.items() if isinstance(one, tfds.features.Text)]
    labels = [key for key, one in features.items() if isinstance(one, tfds.features.ClassLabel)]
    if keys and len(told) > 1:  # a title beside the text
        told = [key for key in told if key == keys[0]]
    return (told[0], labels[0]) if len(told) == len(labels) == 1 else None


def load(builder, name, names, **prepared):
    """`Data` of a TFDS set of texts; see `loading.load_dataset`.

    Args:
        builder: of the set, prepared.
        name: what the set is called.
        names: our names of its splits -> its own.
        prepared: tokens, vocabulary, pairs and pieces of `texts.prepare`.

    Raises:
        DataError: some of a split's labels are hidden. (A split whose labels all are is left out, as glue's test.)
    """
    import tensorflow_datasets as tfds

    text, label = written(builder)
    splits = {
        ours: texts.Written.of(
            [
                (int(one[label]), one[text].decode("utf-8", "replace"))
                for one in tfds.as_numpy(builder.as_dataset(split=theirs))
            ]
        )
        for ours, theirs in names.items()
    }
    hidden = {split: np.mean(part.labels < 0) for split, part in splits.items()}
    if some := [split for split, part in hidden.items() if 0 < part < 1 or (split == "train" and part)]:
        raise DataError(f"--dataset={name}: labels of {some[0]} are hidden; nothing can be learned from it")
    splits = {split: part for split, part in splits.items() if not hidden[split]}
    return texts.prepare(name, tuple(builder.info.features[label].names), splits, **prepared)
