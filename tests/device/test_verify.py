"""`python -m device verify` in a copied folder."""

import json
import re
import shutil
import subprocess
import sys

from edge import INT8, run, surroundings


def test_verify_replays_and_notices_one_changed_number(folder, models):
    for name in (INT8, INT8.replace(".tflite", ".golden.json"), INT8.replace(".tflite", ".golden.npz")):
        shutil.copy(models / name, folder)
    golden = folder / INT8.replace(".tflite", ".golden.json")
    saved = json.loads(golden.read_text())
    result = run(folder, "verify", INT8)
    assert result.returncode == 0 and f"{INT8}: 16/16 identical" in result.stdout
    digest = re.search(r"outputs [0-9a-f]{16}", result.stdout)[0]
    golden.unlink()
    result = run(folder, "verify", INT8, "--threads=2")  # the .npz
    assert result.returncode == 0 and "16/16 identical" in result.stdout and digest in result.stdout
    saved["pictures"][5]["output"][2] += 3
    saved["pictures"][6]["input"] = saved["pictures"][7]["input"]
    golden.write_text(json.dumps(saved))
    result = run(folder, "verify", INT8)
    assert result.returncode == 1
    assert f"{INT8}: 14/16 identical" in result.stdout and digest in result.stdout
    assert "1 outputs differ, by at most 3 steps of 0." in result.stdout
    assert "1 examples were prepared otherwise" in result.stdout


def test_verify_without_golden_pictures(folder, models):
    shutil.copy(models / INT8, folder)
    result = run(folder, "verify", INT8)
    assert result.returncode == 2 and "expected resnet8-int8-ptq.golden.json or resnet8" in result.stderr
    saved = json.loads((models / INT8.replace(".tflite", ".golden.json")).read_text())
    for pictures in (
        [],  # which would be "0/0 identical"
        [{**saved["pictures"][0], "output": saved["pictures"][0]["output"][:1]}],
        [{**saved["pictures"][0], "output": [300] * 10}],
        [{**saved["pictures"][0], "png": "eA=="}],
    ):
        (folder / INT8.replace(".tflite", ".golden.json")).write_text(json.dumps({"pictures": pictures}))
        result = run(folder, "verify", INT8)
        assert result.returncode == 2 and "broken golden examples" in result.stderr, pictures
        assert "Traceback" not in result.stderr


def test_closed_standard_output(folder, models):
    command = [sys.executable, "-m", "device", "verify", models / INT8]
    result = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], cwd=folder, env=surroundings(), timeout=100)
    assert result.returncode == 0
