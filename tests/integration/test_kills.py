"""A fit that is killed at ten random moments, and begun again each time, ends as one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import specvit

SCRIPT = """
import sys
import numpy as np
from specvit import LoggEstimator, PFS_MR
from specvit.survey import Survey

drawn = Survey("paper").draw(192)
flux, ivar, labels = (np.asarray(x) for x in (drawn.flux, drawn.ivar, drawn.labels))
small = dict(width=16, depth=1, heads=2, patch_size=256, batch_size=16, device="cpu", epochs=60)
print("begins", flush=True)
estimator = LoggEstimator(None, labels=Survey("paper").label_names, random_state=1,
                          checkpoint_dir=sys.argv[2] or None, **small)
estimator.fit(flux, labels, ivar=ivar).save(sys.argv[1])
"""


@pytest.mark.slow
def test_ten_random_kills_of_a_fit_change_nothing(tmp_path):
    script = tmp_path / "fit.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def begin(output, checkpoints):
        command = [sys.executable, "-W", "ignore", str(script), str(tmp_path / output), checkpoints]
        run = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
        )
        run.stdout.readline()
        return run

    whole = begin("whole.safetensors", str(tmp_path / "checkpoints_of_the_whole"))
    assert whole.wait() == 0
    whole.stdout.close()
    chance, kills = random.Random(0), 0

    def newest():
        return max((path.stat().st_mtime_ns for path in checkpoints_there()), default=0)

    def checkpoints_there():
        return (tmp_path / "checkpoints").rglob("*.ckpt")

    while not (tmp_path / "killed.safetensors").exists():
        run = begin("killed.safetensors", str(tmp_path / "checkpoints"))
        if kills < 10:
            # Some die early, the others after a checkpoint of their own: so each gets on, however fast it is.
            before = newest()
            while kills % 3 and run.poll() is None and newest() == before:
                time.sleep(0.005)
            time.sleep(chance.uniform(0.0, 0.5))
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)
                kills += 1
        run.wait()
        run.stdout.close()
    assert kills >= 5  # it may be done before the tenth
    drawn = specvit.Survey("paper").draw(20, stream=5)
    flux, ivar = (np.asarray(x) for x in (drawn.flux, drawn.ivar))
    paths = (str(tmp_path / f"{name}.safetensors") for name in ("whole", "killed"))
    found = [specvit.LoggEstimator(path, device="cpu") for path in paths]
    answers = [estimator.predict_labels(flux, ivar=ivar) for estimator in found]
    np.testing.assert_array_equal(answers[0].mean, answers[1].mean)
    np.testing.assert_array_equal(answers[0].sigma, answers[1].sigma)
