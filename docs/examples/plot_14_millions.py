"""
Millions
========

Any number of spectra in constant memory, to one table that is kept as it grows (:doc:`/streams`). Here a
generator makes them, eighty at a time.
"""

import tempfile

import matplotlib.pyplot as plt

from specvit import Survey, predict_stream
from specvit.predictors import read_table

survey, truth = Survey("pfs-mr", seed=8), []


def batches():
    """Spectra as they come: nothing is held but the batch at hand."""
    for k in range(3):
        drawn = survey.draw(80, stream=k)
        truth.extend(drawn.labels[:, 1].tolist())
        yield drawn.flux, drawn.ivar


output = tempfile.mkdtemp() + "/labels.fits"
done = predict_stream(batches(), output)
print(f"{done.rows} rows, {done.failed} of them without an answer")

# %%
# The table has everything that ``predict_table`` gives. Differences from the truth grow as S/N falls, and the
# predicted errors with them.

table = read_table(output)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
difference = table["logg"].value - truth
ax.errorbar(table["snr"], difference, table["logg_err"].value, fmt="o", ms=3, lw=0.6, ecolor="0.75")
ax.axhline(0, color="0.3", lw=0.8)
ax.set(xscale="log", xlabel="S/N per pixel", ylabel="log g predicted − true [dex]")
plt.show()
