"""Claim: a residual network over words reads better than what scikit-learn learns in a second from the same sentences.

    python -m benchmarks.sentences REVIEWS/ [--seeds=0,1,2] [--ways=usual,…]     # pip install -e ".[bench]"

REVIEWS/ has train.tsv, validation.tsv and test.tsv. scikit-learn's classifiers see words and pairs of words as its own
vectorizers make them. Ways are what a network lacks or has besides; runs are resumable, in runs/sentences/. Test is
asked for once a run.
"""

import argparse
import pathlib

from benchmarks.trainings import markdown, mean_and_deviation, trained
from keras_resnet.data.tables import rows

WAYS = {
    "usual": [],
    "no pairs": ["--pairs=0"],
    "no pieces": ["--pieces=0"],
    "words alone": ["--pairs=0", "--pieces=0"],
    "no word forgotten": ["--augmentation=none"],
    "no dropout": ["--dropout=0"],
    "no moving average": ["--ema=0"],
    "two blocks of each width": ["--depth=14"],
}


def scikit_learn(texts, labels, test, truth):
    """Name -> accuracy on the test texts, in per cent."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    pairs = {"ngram_range": (1, 2)}
    ways = {
        "TF-IDF, words and pairs, naive Bayes": (TfidfVectorizer(**pairs), MultinomialNB()),
        "binary counts, words and pairs, naive Bayes": (CountVectorizer(binary=True, **pairs), MultinomialNB()),
        "TF-IDF, words and pairs, linear SVC": (TfidfVectorizer(**pairs), LinearSVC()),
    }
    return {name: 100 * make_pipeline(*parts).fit(texts, labels).score(test, truth) for name, parts in ways.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reviews", type=pathlib.Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ways", default="usual", help=", ".join(WAYS))
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/sentences"))
    given = parser.parse_args()
    (labels, texts), (truth, asked) = (
        zip(*rows(given.reviews / f"{split}.tsv"), strict=True) for split in ("train", given.split)
    )
    table = [(name, f"{accuracy:.2f}") for name, accuracy in scikit_learn(texts, labels, asked, truth).items()]
    for way in given.ways.split(","):
        accuracies = []
        for seed in given.seeds.split(","):
            flags = [f"--dataset={given.reviews}/", f"--seed={seed}", *WAYS[way]]
            report, _ = trained(given.out / f"{way.replace(' ', '-')}-{seed}", flags, given.split)
            accuracies.append(100 * report["top1_accuracy"])
            print(f"{way}, seed {seed}: {accuracies[-1]:.2f} %", flush=True)
        table.append((f"network, {way}", mean_and_deviation(accuracies, "{:.2f}") or f"{accuracies[0]:.2f}"))
    print("\n".join(markdown((f"{given.split} texts", "accuracy [%]"), table)))


if __name__ == "__main__":
    main()
