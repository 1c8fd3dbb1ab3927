"""`keras-resnet check` of tables: lengths, texts that are there twice, across splits and classes."""

import pytest
from small_sets import write_reviews

from keras_resnet.data import check


def test_what_a_table_holds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews").mkdir()
    folder = write_reviews(tmp_path / "reviews", {"train": 60, "test": 10})
    twice = ["good\tWell said, café", "bad\twell  said, CAFÉ", "good\tonce", "good\t"]
    (folder / "train.tsv").write_text((folder / "train.tsv").read_text() + "\n".join(twice) + "\n")
    (folder / "test.tsv").write_text((folder / "test.tsv").read_text() + "good\tonce\n")
    check.main([str(folder)], "check")
    said = capsys.readouterr().out
    assert "75 texts, 2 classes" in said and "train.tsv, text 61 = train.tsv, text 62" in said
    assert "across splits 1 (figures would be too good), across classes 1 (one label is wrong)" in said
    assert "without a token: 1, as train.tsv, text 64" in said and f"keras-resnet train --dataset={folder}/" in said
    assert not (tmp_path / "runs").exists()
    (folder / "train.tsv").write_text("a\tb\tc\n")
    with pytest.raises(SystemExit):
        check.main([str(folder)], "check")
