"""A process that was forked after a prediction with two threads predicts, and does not wait for ever."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, sys, warnings
import torch
torch.set_num_threads(2)
import specvit
estimator, star = specvit.LoggEstimator(device="cpu"), specvit.example_spectrum()
expected = estimator.predict([star] * 2)[0]
warnings.simplefilter("ignore")  # Python's own, that a process with threads is forked
child = os.fork()
if not child:
    os._exit(int(abs((estimator.predict(star) - expected).value) > 1e-4 or torch.get_num_threads() != 1))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_predicts():
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, timeout=240, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
