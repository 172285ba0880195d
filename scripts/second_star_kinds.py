import numpy as np
from scipy.ndimage import uniform_filter1d, median_filter, maximum_filter1d, gaussian_filter1d
from specvit.assess.scene import STARS, Scene
from specvit.assess.troubles import Trouble, _plain, _TRIPLET, _width, _companion, _factor, _zeros

C = 299792.458


def x_(s):
    return np.linspace(-1, 1, s.wave.size)


K = []


def L(name, light, **k):
    K.append(Trouble(name, light, **k))


def R(name, record, **k):
    K.append(Trouble(name, record=record, **k))


L("+5 A", lambda s: s.light(centres=s.wave - 5))
L("-5 A", lambda s: s.light(centres=s.wave + 5))
for a in (0.5, 1, 2, 4):
    L(f"stretched ±{a} A", lambda s, a=a: s.light(centres=s.wave + a * x_(s)))
L("quadratic 1 A", lambda s: s.light(centres=s.wave + 1 * (2 * x_(s) ** 2 - 1)))
L("sine 0.7 A period 300 A", lambda s: s.light(centres=s.wave + 0.7 * np.sin(2 * np.pi * s.wave / 300)))
L(
    "orders jitter 30 km/s",
    lambda s: s.light(
        centres=s.wave
        * (
            1
            + np.random.default_rng(3).normal(0, 30, 18)[
                np.minimum((18 * np.arange(s.wave.size)) // s.wave.size, 17)
            ]
            / C
        )
    ),
)
R("reversed flux", lambda f, s, r, sc: _plain(f[:, ::-1], s[::-1]))
R("halves swapped", lambda f, s, r, sc: _plain(np.roll(f, f.shape[1] // 2, 1), np.roll(s, s.size // 2)))
R("ripple 5% saw", _factor(lambda s: 1 + 0.05 * (2 * ((18 * np.arange(s.wave.size) / s.wave.size) % 1) - 1)))
R(
    "ripple 5% cos",
    _factor(lambda s: 1 + 0.05 * np.cos(2 * np.pi * 18 * np.arange(s.wave.size) / s.wave.size)),
)
R("3 steps 10%", _factor(lambda s: 1 + 0.1 * ((np.arange(s.wave.size) * 4 // s.wave.size) % 2)))
R("red half x1.3", _factor(lambda s: np.where(s.wave > 8000, 1.3, 1.0)))
for a, p in ((5, 2), (5, 8), (5, 20), (5, 40), (5, 150), (10, 20)):
    R(f"fringes {a}% {p} A", _factor(lambda s, a=a, p=p: 1 + a / 100 * np.sin(2 * np.pi * s.wave / p)))
R("flux^1.2", lambda f, s, r, sc: _plain(np.maximum(f, 0.01) ** 1.2, s * 1.2))
R("flux^1.5", lambda f, s, r, sc: _plain(np.maximum(f, 0.01) ** 1.5, s * 1.5))
R("flux^2", lambda f, s, r, sc: _plain(f**2 * np.sign(f), s * 2))
R("saturating f/(1+0.3f)", lambda f, s, r, sc: _plain(f / (1 + 0.3 * f), s / 1.5))
R("inverted 2-f", lambda f, s, r, sc: _plain(2 - f, s))
R("1/f", lambda f, s, r, sc: _plain(1 / np.maximum(f, 0.05), s))
R("derivative +1", lambda f, s, r, sc: _plain(1 + np.gradient(f, axis=1), s))
R("cut at p10", lambda f, s, r, sc: _plain(np.maximum(f, np.percentile(f, 10, 1, keepdims=True)), s))


def bin2(v, l1, twin):
    def light(s):
        o = s if twin else _companion(s)
        return l1 * s.light(velocity=-v * (1 - l1)) + (1 - l1) * o.light(velocity=v * l1)

    return light


for v, l1 in ((0, 0.7), (0, 0.85), (100, 0.7), (100, 0.5), (200, 0.7), (150, 0.9), (30, 0.5)):
    L(f"binary unlike {v} km/s, {l1:.0%}", bin2(v, l1, False))
for v, l1 in ((50, 0.5), (150, 0.5), (100, 0.7)):
    L(f"binary twin {v} km/s, {l1:.0%}", bin2(v, l1, True))


def bands(s, heads, depth, red=60):
    b = s.wave - np.array(heads)[:, None]
    return np.exp(
        -(depth * np.where(b > 0, np.exp(-np.maximum(b, 0) / red), np.exp(np.minimum(b, 0) / 3))).sum(0)
    )


CN = (7088, 7259, 7437, 7656, 7876, 7970, 8067, 8270, 8490, 8730)
for d in (0.1, 0.3, 0.8):
    R(f"CN-like bands {d}", _factor(lambda s, d=d: bands(s, CN, d)))


def emis(ew, w=1.0):
    def light(s):
        sg = np.interp(_TRIPLET, s.wave, s.grid.lsf_sigma)[:, None] * w
        sh = np.exp(-0.5 * ((s.wave - _TRIPLET[:, None]) / sg) ** 2) / (np.sqrt(2 * np.pi) * sg)
        return (s.lines() + ew * sh.sum(0)) * s.continuum

    return light


for ew, w in ((0.25, 1), (1, 1), (2, 1), (4, 3)):
    L(f"triplet emission {ew} A w{w}", emis(ew, w))
R("blue 200 A zero", _zeros(lambda sh, r, w: np.broadcast_to(w < 7310, sh)))
R(
    "ends zero-padded 100 px",
    _zeros(
        lambda sh, r, w: np.broadcast_to((np.arange(w.size) < 100) | (np.arange(w.size) > w.size - 100), sh)
    ),
)
for q in (0.01, 0.05, 0.3):
    R(f"{q:.0%} zero pixels", _zeros(lambda sh, r, w, q=q: r.random(sh) < q))
R("gap 50 A zero", _zeros(lambda sh, r, w: np.broadcast_to((w > 8480) & (w < 8530), sh)))
R(
    "gap bridged 8480-8680",
    lambda f, s, r, sc: _plain(
        np.where((sc.wave > 8480) & (sc.wave < 8680), np.median(f, 1, keepdims=True), f), s
    ),
)
R("duplicated pixels 2", lambda f, s, r, sc: _plain(np.repeat(f[:, ::2], 2, 1)[:, : f.shape[1]], s))
R("duplicated pixels 4", lambda f, s, r, sc: _plain(np.repeat(f[:, ::4], 4, 1)[:, : f.shape[1]], s))
for n in (3, 5, 9, 15):
    R(f"boxcar {n}", lambda f, s, r, sc, n=n: _plain(uniform_filter1d(f, n, axis=1, mode="nearest"), s))
R("gaussian 2 px", lambda f, s, r, sc: _plain(gaussian_filter1d(f, 2, axis=1, mode="nearest"), s))
R("median 5", lambda f, s, r, sc: _plain(median_filter(f, (1, 5)), s))
R("median 11", lambda f, s, r, sc: _plain(median_filter(f, (1, 11)), s))
R("unsharp", lambda f, s, r, sc: _plain(2 * f - gaussian_filter1d(f, 2, axis=1), s))


def corr(n):
    def rec(f, s, r, sc):
        w = r.standard_normal(f.shape)
        k = gaussian_filter1d(w, n, axis=1)
        k /= k.std()
        return _plain(sc.light() + s * k, s)

    return rec


for n in (1.5, 4, 10, 30):
    R(f"noise corr σ={n}px", corr(n))
for q in (0.2, 0.5, 2, 5, 30):
    R(f"sigma x{q}", lambda f, s, r, sc, q=q: _plain(f, s * q), harmless=False)
R("sigma constant not sqrt", lambda f, s, r, sc: _plain(f, np.full_like(s, np.median(s))), harmless=True)
R(
    "sigma random 0.3-3",
    lambda f, s, r, sc: _plain(f, s * np.exp(r.uniform(-1.1, 1.1, s.shape))),
    harmless=True,
)
R("percent errors", lambda f, s, r, sc: _plain(f, s * 100))
R("ivar all 1e-17 scaled flux", lambda f, s, r, sc: _plain(f * 1e-17, s * 1e-17), harmless=True)
R("1e-17 flux, ivar in wrong scale", lambda f, s, r, sc: _plain(f * 1e-17, s))
R("flux 1e17 with σ of 1", lambda f, s, r, sc: _plain(f * 1e17, s))


def splice(at, other=None):
    def light(s):
        o = _companion(s) if other is None else s.other(other)
        return np.where(s.wave < at, s.light(), o.light())

    return light


L("spliced unlike 8000", splice(8000))
L("spliced unlike 8400", splice(8400))
L("spliced M giant at 7600", splice(7600, STARS["m-giant"]))
for q in (3, 5, 10, 100):
    R(f"quantised at {q}", lambda f, s, r, sc, q=q: _plain(np.round(q * f), q * s), harmless=q == 100)
R("over running median 10 A", lambda f, s, r, sc: _plain(f / median_filter(f, (1, 25)), s / np.median(f)))
R(
    "over running max 20 A",
    lambda f, s, r, sc: (lambda m: (f / m, (s / m) ** -2.0))(
        uniform_filter1d(maximum_filter1d(f, 51, axis=1), 51, axis=1)
    ),
    harmless=True,
)
R("minus continuum plus 0", lambda f, s, r, sc: _plain(f - sc.continuum, s))
R("minus 0.3", lambda f, s, r, sc: _plain(f - 0.3 * np.median(f), s))
R("minus 0.1", lambda f, s, r, sc: _plain(f - 0.1 * np.median(f), s))


def light_plus(fn):
    return lambda s: s.light() + fn(s)


L("moon 30%", light_plus(lambda s: 0.3 * s.other((5777, 4.44, 0, 0, 0)).light(velocity=-10)))
L("moon 100%", light_plus(lambda s: 1.0 * s.other((5777, 4.44, 0, 0, 0)).light(velocity=-10)))
L("crosstalk 10% at 100", light_plus(lambda s: 0.1 * _companion(s).light(velocity=100)))
L("ghost bump 20%", light_plus(lambda s: 0.2 * np.exp(-0.5 * ((s.wave - 8500) / 50) ** 2)))
L("ghost bump 10% narrow 10 A", light_plus(lambda s: 0.1 * np.exp(-0.5 * ((s.wave - 8550) / 10) ** 2)))
R(
    "DIB 8621 0.3 A",
    _factor(lambda s: 1 - 0.3 / (np.sqrt(2 * np.pi) * 2) * np.exp(-0.5 * ((s.wave - 8623) / 2) ** 2)),
    harmless=True,
)
R(
    "DIB strong all",
    _factor(
        lambda s: (
            1
            - sum(
                0.25 * np.exp(-0.5 * ((s.wave - c) / 3) ** 2)
                for c in (7226, 7366, 7724, 8024, 8040, 8623, 8650)
            )
        )
    ),
)
for v in (30, -30, 40, -40):
    L(f"velocity {v}", lambda s, v=v: s.light(velocity=v))
for v in (700, 1000):
    L(f"velocity {v}", lambda s, v=v: s.light(velocity=v))


def coarse(step):
    def rec(f, s, r, sc):
        w = sc.wave
        cw = np.arange(w[0], w[-1], step)
        out = np.array([np.interp(w, cw, np.interp(cw, w, row)) for row in f])
        return _plain(out, s)

    return rec


for st in (1.0, 1.5, 3.0):
    R(f"interpolated from {st} A", coarse(st))
for p in (1500, 1000, 500):
    L(f"R {p} called the grid's", lambda s, p=p: s.light(width=_width(p)(s)))
L("rotation-like 150", lambda s: s.light(width=np.hypot(1, 150 / 2.2 / (C * s.grid.lsf_sigma / s.wave))))


def sky(share, seed=21, n=80):
    def light(s):
        r = np.random.default_rng(seed)
        c = r.uniform(7240, 8850, n)[:, None]
        st = np.minimum(0.1 / r.uniform(0.03, 1, n), 1)[:, None]
        return s.light() + share * (st * np.exp(-0.5 * ((s.wave - c) / s.grid.lsf_sigma.mean()) ** 2)).sum(0)

    return light


for q in (0.1, 0.5, -0.1, -0.5):
    L(f"sky {q:+}", sky(q))


def skypc(s):
    r = np.random.default_rng(22)
    c = r.uniform(7240, 8850, 80)[:, None]
    z = (s.wave - c) / s.grid.lsf_sigma.mean()
    return s.light() + 0.2 * (z * np.exp(-0.5 * z * z)).sum(0)


L("sky P Cygni 0.2", skypc)
R(
    "noise x5 at sky px",
    lambda f, s, r, sc: _plain(
        f + (np.random.default_rng(5).random(s.size) < 0.15) * s * 5 * r.standard_normal(f.shape), s
    ),
)


def tell(k):
    def light(s):
        r = np.random.default_rng(12)
        b = ((7165, 7340, 90), (7594, 7700, 50), (8110, 8360, 90))
        c = np.concatenate([r.uniform(lo, hi, n) for lo, hi, n in b])[:, None]
        d = r.uniform(0.03, 0.5, len(c))[:, None] * k
        return s.light() * np.exp(-(d * np.exp(-0.5 * ((s.wave - c) / s.grid.lsf_sigma.mean()) ** 2)).sum(0))

    return light


for k in (0.3, 2, -0.5):
    L(f"telluric x{k}", tell(k))
R(
    "dead columns 20 blocks x0.5",
    lambda f, s, r, sc: _plain(
        f
        * np.where(
            np.isin(np.arange(s.size) // 10, np.random.default_rng(4).choice(s.size // 10, 20, False)), 0.5, 1
        ),
        s,
    ),
)
R(
    "hot columns +0.5 10 blocks of 5",
    lambda f, s, r, sc: _plain(
        f + 0.5 * np.isin(np.arange(s.size) // 5, np.random.default_rng(4).choice(s.size // 5, 10, False)), s
    ),
)
R(
    "white-dwarf-like",
    lambda f, s, r, sc: _plain(
        1 - 0.3 / (1 + ((sc.wave - 8500) / 150) ** 2) + s * r.standard_normal(f.shape), s
    ),
)
R(
    "random-walk continuum",
    lambda f, s, r, sc: _plain(
        np.exp(np.cumsum(r.normal(0, 0.004, f.shape), 1)) + s * r.standard_normal(f.shape), s
    ),
)
R("same pixel noise pure, mean 0.1", lambda f, s, r, sc: _plain(0.1 + s * r.standard_normal(f.shape), s))
R("sin wave", lambda f, s, r, sc: _plain(1 + 0.5 * np.sin(sc.wave / 7) + s * r.standard_normal(f.shape), s))
R("shuffled pixels", lambda f, s, r, sc: _plain(f[:, np.random.default_rng(1).permutation(s.size)], s))
R(
    "shuffled blocks 64",
    lambda f, s, r, sc: _plain(
        f.reshape(len(f), -1, 64)[:, np.random.default_rng(1).permutation(s.size // 64)].reshape(len(f), -1),
        s,
    ),
)
R(
    "lost blocks 3 x 300 masked",
    lambda f, s, r, sc: (
        f,
        np.broadcast_to(np.where((np.arange(s.size) // 300) % 4 == 1, 0, s**-2.0), f.shape),
    ),
    harmless=True,
)
