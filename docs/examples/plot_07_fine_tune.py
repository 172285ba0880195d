"""
Fine-tuning
===========

A few stars of one's own with known labels teach the bundled network a scale, or an instrument's habits. Here
the scale of the user's labels is 0.3 dex above the library's.
"""

import matplotlib.pyplot as plt
import numpy as np

from specvit import LoggEstimator, Survey

survey = Survey("paper", seed=5)
known, others = survey.draw(256, stream=1, magnitude=20.0), survey.draw(200, stream=2, magnitude=20.0)
before = LoggEstimator(weights="paper")
tuned = LoggEstimator(
    weights="paper", labels="logg", epochs=1, learning_rate=1e-4, batch_size=32, random_state=0
)
tuned.fit(known.flux.numpy(), known.labels[:, 1].numpy() + 0.3, ivar=known.ivar.numpy())

# %%
# Other stars, before and after.

truth = others.labels[:, 1].numpy() + 0.3
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name, estimator in {"bundled": before, "fine-tuned": tuned}.items():
    found = estimator.predict_labels(others.flux.numpy(), ivar=others.ivar.numpy())
    difference = found.columns(["logg"])[0][:, 0] - truth
    print(f"{name}: bias {np.mean(difference):+.2f}, scatter {np.std(difference):.2f} dex")
    ax.hist(difference, bins=np.linspace(-0.8, 0.5, 40), histtype="step", label=name, lw=1.5)
ax.set(xlabel="log g predicted − user's scale [dex]", ylabel="stars")
ax.legend(frameon=False)
plt.show()
