"""`python -m device benchmark` in a copied folder."""

import json
import signal
import subprocess
import sys
import time

from edge import INT8, run, surroundings


def test_benchmark_prints_one_line_to_paste(folder, models, tmp_path):
    # What Raspberry Pi's own tool prints, from its documentation: under-voltage now, throttled some time ago.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "vcgencmd").write_text(
        '#!/bin/sh\n[ $1 = measure_temp ] && echo "temp=48.3\'C" || echo throttled=0x40001\n'
    )
    (tools / "vcgencmd").chmod(0o755)
    arguments = ("benchmark", models / INT8, "--threads=2", "--seconds=0.2")
    began = time.perf_counter()
    plain = run(folder, *arguments)
    seconds = time.perf_counter() - began
    (line,) = plain.stdout.splitlines()
    result = json.loads(line)
    assert result["model"] == INT8 and result["bytes"] == (models / INT8).stat().st_size
    assert list(result["threads"]) == ["1", "2"]
    for latency in result["threads"].values():
        assert 0 < latency["median_ms"] <= latency["p90_ms"] < 1000 * seconds and latency["runs"] >= 20
    assert result["preprocessing_ms"] > 0 and 20 < result["peak_memory_mb"] < 500
    on_a_pi = json.loads(run(folder, *arguments, PATH=str(tools)).stdout)
    assert on_a_pi["before"] == on_a_pi["after"]
    assert on_a_pi["after"] == {"celsius": 48.3, "throttling": ["under-voltage", "throttling has occurred"]}
    assert run(folder, "benchmark", "device/page.html").returncode == 2
    for flag in ("--seconds=inf", "--seconds=nan", "--seconds=-1", "--threads=100000"):
        result = run(folder, "benchmark", models / INT8, flag)
        assert result.returncode == 2 and f"got '{flag.partition('=')[2]}', expected" in result.stderr


def test_ctrl_c_is_no_traceback(folder, models):
    process = subprocess.Popen(
        [sys.executable, "-m", "device", "benchmark", models / INT8, "--threads=2", "--seconds=2"],
        cwd=folder,
        env=surroundings(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("1 threads" in line for line in process.stderr)  # the second number of threads is measured now
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == "" and process.wait(60) == 130
