"""What the benchmarks' figures rest on, where it is quick to see."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import quantizing_tools


@pytest.mark.parametrize(
    ("largest", "bits", "signed", "integer"),
    [(0.99, 8, True, 0), (1.0, 8, True, 0), (3.9, 8, True, 2), (3.9, 8, False, 2), (0.24, 4, True, -2)],
)
def test_fixed_point_numbers_hold_what_they_are_for(largest, bits, signed, integer):
    values = np.linspace(-largest if signed else 0, largest, 1001)
    assert quantizing_tools.integer_bits(values, bits, signed) == integer


def test_a_few_far_values_do_not_cost_all_others_a_bit():
    values = np.append(np.random.default_rng(0).uniform(-1, 1, 10_000), 4.01)
    assert quantizing_tools.integer_bits(values, 4, True) < 2


def test_rows_of_tools_that_are_not_installed_say_what_to_install():
    code = "import sys; from benchmarks import quantizing_tools as t; t.PACKAGES['hgq2'] = ('nowhere', 'pip install -e . HGQ2'); t.main(*sys.argv[1:])"  # noqa: E501
    command = [sys.executable, "-c", code, "hgq2-8", "nowhere/", "3", "0"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("hgq2 is not installed: pip install -e . HGQ2") and result.stderr.count("\n") == 1
