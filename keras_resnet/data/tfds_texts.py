"""TFDS sets of texts with a class each, as `imdb_reviews` and `ag_news_subset`: in memory."""

from keras_resnet.data import texts
from keras_resnet.data.streams import named_features


def written(builder):
    """The names of a TFDS set's text and its label among the features, or None."""
    import tensorflow_datasets as tfds

    features = named_features(builder)
    told = [key for key, one in features.items() if isinstance(one, tfds.features.Text)]
    labels = [key for key, one in features.items() if isinstance(one, tfds.features.ClassLabel)]
    if builder.info.supervised_keys and len(told) > 1:  # a title beside the text
        told = [key for key in told if key == builder.info.supervised_keys[0]]
    return (told[0], labels[0]) if len(told) == len(labels) == 1 else None


def load(builder, name, names, **prepared):
    """`Data` of a TFDS set of texts; see `loading.load_dataset`.

    Args:
        builder: of the set, prepared.
        name: what the set is called.
        names: our names of its splits -> its own.
        prepared: tokens, vocabulary, pairs and pieces of `texts.prepare`.
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
    return texts.prepare(name, tuple(builder.info.features[label].names), splits, **prepared)
