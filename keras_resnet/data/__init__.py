"""From a name to batches: where data comes from, how it is split, in which order and how disturbed it is learned."""

SPLITS = ("train", "validation", "test")


class DataError(ValueError):
    """A data set that can't be had or can't be learned from; the message says what to do."""
