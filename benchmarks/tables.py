"""Claim: of small tables a residual MLP learns no more than scikit-learn in a second, and int8 costs it nothing.

    python -m benchmarks.tables [--tables=breast_cancer,wine] [--seeds=0,1,2] [--flags="…"]

scikit-learn is to be installed beside the package. Each seed draws another fifth of the rows as test, by class;
scikit-learn's classifiers learn from all others, the network has a tenth of those as validation. Runs are resumable, in
runs/tables/; test is asked for once a run.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys

from benchmarks.trainings import markdown, mean_and_deviation, trained


def drawn(name, seed, folder):
    """Writes a table's splits; returns their (rows, labels), all but test first."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    made = getattr(datasets, f"load_{name}")()
    rows, others, labels, truth = train_test_split(
        made.data, made.target_names[made.target], test_size=0.2, random_state=seed, stratify=made.target
    )
    folder.mkdir(parents=True, exist_ok=True)
    for split, of, said in (("train", rows, labels), ("test", others, truth)):
        with open(folder / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [[*made.feature_names, "label"], *([*r, y] for r, y in zip(of, said, strict=True))]
            )
    return rows, labels, others, truth


def scikit_learn(rows, labels, others, truth, seed):
    """Name -> accuracy on the test rows, in per cent."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ways = {
        "scikit-learn, logistic regression of standardized columns": make_pipeline(
            StandardScaler(), LogisticRegression()
        ),
        "scikit-learn, random forest": RandomForestClassifier(random_state=seed),
    }
    return {name: 100 * way.fit(rows, labels).score(others, truth) for name, way in ways.items()}


def network(table, seed, run_dir, flags):
    """Name -> accuracy on the test rows, in per cent, of a run and its int8 file."""
    report, _ = trained(run_dir, [f"--dataset={table}/", f"--seed={seed}", *flags], "test")
    export = ["-m", "export", str(run_dir), "--formats=int8-qat", "--qat_epochs=3", "--split=test", "--tolerance=100"]
    subprocess.run([sys.executable, *export], check=True)
    (row,) = json.loads((run_dir / "export" / "comparison.json").read_text())["formats"]
    return {"network": 100 * report["top1_accuracy"], "its int8 file": 100 * row["accuracy"]}, row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="breast_cancer,wine", help="of sklearn.datasets.load_…")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--flags", default="", help="of train.py")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/tables"))
    given = parser.parse_args()
    for name in given.tables.split(","):
        found = {}
        for seed in map(int, given.seeds.split(",")):
            folder = given.out / f"{name}-{seed}"
            parts = drawn(name, seed, folder / "data")
            made, row = network(folder / "data", seed, folder / "run", given.flags.split())
            for way, accuracy in {**scikit_learn(*parts, seed), **made}.items():
                found.setdefault(way, []).append(accuracy)
            print(f"{name}, seed {seed}: {made}, {row['bytes']:,} bytes, same logits {row['same_logits']}", flush=True)
        lines = [(way, mean_and_deviation(of, "{:.1f}") or f"{of[0]:.1f}") for way, of in found.items()]
        print("\n".join(markdown((f"{name}, {len(parts[3])} test rows", "accuracy [%]"), lines)))


if __name__ == "__main__":
    main()
