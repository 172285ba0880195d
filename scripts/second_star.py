"""Is there information on a second star, or on labels that change along the spectrum? (a measurement)

python scripts/second_star.py [--survey 40960] [--draws 10] [--device cuda] [--out FILE.npz]
"""

import argparse
import time
from dataclasses import fields

import numpy as np
import torch
from second_star_kinds import K

from specvit import Survey
from specvit.assess.scene import STARS, Scene
from specvit.assess.troubles import TROUBLES
from specvit.predictors import honestyfit
from specvit.predictors.findings import Findings
from specvit.predictors.honesty import line_model
from specvit.predictors.networkarrays import predict_arrays
from specvit.spectra import adapt
from specvit.stars import Emulator
from specvit.weights import load_weights

SECOND = [
    (4500.0, 2.0, -0.3, 0.1, 0.0),
    (5800.0, 4.4, 0.0, 0.0, 0.0),
    (3900.0, 1.2, -0.2, 0.1, 0.0),
    (6400.0, 4.2, -0.3, 0.1, 0.0),
    (4600.0, 4.6, 0.0, 0.0, 0.0),
    (4600.0, 2.0, -2.0, 0.3, 0.0),
]
N = 8  # parameters


def gains(rows, residual, x, fit, added):
    """Improvement of χ² beyond the eight parameters by each group of more columns: (b, groups)."""
    prior = fit.loose.double() ** -2
    more = torch.cat([a for a, _ in added.values()], 1)
    width = torch.cat([w.expand(len(x), -1) for _, w in added.values()], 1).double() ** -2
    R = torch.cat([rows, more], 1)
    n = rows.shape[1]
    gram = (R @ R.mT).double()
    P = gram.new_zeros(gram.shape[:2])
    P[:, :N], P[:, n:] = prior, width
    g = (R @ residual[..., None])[..., 0].double()
    g[:, :N] += prior * (fit.null - x).double()

    def gain(k):
        A = gram[:, k][:, :, k] + torch.diag_embed(P[:, k])
        s = A.diagonal(dim1=1, dim2=2).clamp_min(1e-20).rsqrt()
        A = A * s[:, :, None] * s[:, None]
        A.diagonal(dim1=1, dim2=2).add_(1e-7)
        b = g[:, k] * s
        v = torch.linalg.solve(A, b)
        return (b * v).sum(1), v * s

    base = torch.arange(n, device=x.device)
    g0 = gain(base)[0]
    out, first = [], n
    for a, _ in added.values():
        own = torch.arange(first, first + a.shape[1], device=x.device)
        first += a.shape[1]
        both, v = gain(torch.cat([base, own]))
        out.append(both - g0)
        if a.shape[1] == 1:
            out.append(v[:, -1])
    return torch.stack(out, 1)


@torch.no_grad()
def extra(fit, iterations):
    near = fit._fit(fit._moved(fit.known_shift), fit.tight, 2)
    start = torch.where(fit.shift == fit.known_shift, near[1], fit._moved(fit.shift))
    far = fit._fit(start, fit.loose, iterations)
    found = fit._judged(near, far)
    x, m = far[1], fit.model
    rows, residual, _ = fit._equations(x, fit._label_slopes(x))
    shift, width = x[:, 0] * fit.units[:, 0], x[:, 1] * fit.units[:, 1]
    second = m.depths(m.tensor(SECOND))[None].expand(len(x), -1, -1)
    second = m.observe_many(second, shift, width, fit.lsf)
    first = m.observe(m.depths(x[:, 3:] * fit.units[:, 3:]), shift, width, fit.lsf, derivatives=False)
    first = x[:, 2:3] * first
    curve = (fit.flux * fit.root - residual) / (1 + first)
    second = (second - first[:, None]) * curve[:, None]
    u = torch.linspace(-1, 1, fit.flux.shape[1], device=x.device)
    half = torch.full((len(x), 1), 0.5, device=x.device)
    added = {f"second{k}": (second[:, k : k + 1], half) for k in range(len(SECOND))}
    added["seconds"] = (second, half.expand(-1, len(SECOND)))
    vary = rows[:, :N] * u
    added["vary"] = (vary, fit.loose)
    added["vary_shift"] = (vary[:, :1], fit.loose[:, :1])
    added["vary_labels"] = (vary[:, 3:], fit.loose[:, 3:])
    added["vary_strength"] = (vary[:, 2:3], fit.loose[:, 2:3])
    added["step"] = (rows[:, 2:N] * torch.sign(u), fit.loose[:, 2:])
    values = gains(rows, residual, x, fit, added)
    names = []
    for name, (a, _) in added.items():
        names += [name, name + "_value"] if a.shape[1] == 1 else [name]
    return found, dict(zip(names, values.T.cpu().numpy(), strict=True))


def measured(regressor, model, arrays, iterations=3):
    mean, sigma = predict_arrays(regressor, *arrays)
    flux, ivar, lsf, sampling = arrays
    ratio = np.where(ivar > 0, flux * np.sqrt(np.maximum(ivar, 0)), np.nan)
    out = {"snr": np.nanmedian(ratio, 1), "mean": mean, "sigma": sigma, "coverage": (ivar > 0).mean(1)}
    for rows, fit in honestyfit._fits(model, (flux, ivar, mean, sigma, lsf, sampling), None):
        found, values = extra(fit, iterations)
        values |= {f.name: getattr(found, f.name) for f in fields(Findings)}
        for name, x in values.items():
            out.setdefault(name, np.full(len(flux), np.nan))[rows] = x
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--survey", type=int, default=40960)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--kinds", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="second_star.npz")
    args = parser.parse_args()
    regressor, model = load_weights("any")[0].to(args.device), line_model(args.device)
    parts, names, start = [], [], time.perf_counter()
    survey = Survey("any", seed=79, emulator=Emulator.load(calibrated=True))
    for k in range(args.survey // args.batch):
        batch = survey.draw(args.batch, stream=k, device=args.device)
        arrays = [x.cpu().numpy().astype(float) for x in (batch.flux, batch.ivar, batch.lsf, batch.sampling)]
        found = measured(regressor, model, arrays) | {"truth": batch.labels.cpu().numpy()[:, 1]}
        parts.append(found)
        names += [("survey", "", 0.0)] * args.batch
    print(f"{time.perf_counter() - start:.0f} s", flush=True)
    own = {trouble.name for trouble in TROUBLES}
    kinds = [*TROUBLES, *(kind for kind in K if kind.name not in own)][: args.kinds]
    for i, kind in enumerate(kinds):
        for j, (star, labels) in enumerate(STARS.items()):
            flux, ivar = [], []
            for snr in (10, 30, 100):
                one = kind.spectra(Scene(labels, snr), args.draws, [3, i, j, snr])
                flux.append(one[0])
                ivar.append(one[1])
                names += [
                    (kind.name + (" (harmless)" if kind.harmless else ""), star, float(snr))
                ] * args.draws
            ivar = None if ivar[0] is None else np.concatenate(ivar)
            batch = adapt(np.concatenate(flux), ivar=ivar, on_error="nan")
            arrays = batch.flux, batch.ivar, batch.lsf, batch.sampling
            found = measured(regressor, model, [np.asarray(x, float) for x in arrays])
            parts.append(found | {"truth": np.full(len(batch), labels[1])})
    keys = set.intersection(*(set(part) for part in parts))
    arrays = {key: np.concatenate([part[key] for part in parts]).astype(np.float32) for key in keys}
    kind, star, snr = (np.array(x) for x in zip(*names, strict=True))
    np.savez_compressed(args.out, kind=kind, star=star, ratio=snr, **arrays)
    print(f"{time.perf_counter() - start:.0f} s, {len(kind)} spectra", flush=True)


if __name__ == "__main__":
    main()
