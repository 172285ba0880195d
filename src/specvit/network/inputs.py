"""Encodings: the forms in which the network gets a spectrum, made of its flux and inverse variance alone.

Every encoding except ``none`` is independent of the scale of the flux. Each treats every spectrum by itself
and ignores masked pixels: a pixel counts only where its inverse variance is positive and its flux finite.
"""

from __future__ import annotations

import torch

from specvit.checks import check_choice
from specvit.network.fastlayers import can_compile

__all__ = [
    "ENCODINGS",
    "SNR_DEFINITION",
    "by_rows",
    "encode",
    "masked_median",
    "median_snr",
    "n_channels",
    "per_pixel",
    "snr_and_coverage",
    "usable",
]

#: The one definition of the S/N of a spectrum, for records.
SNR_DEFINITION = "median over valid pixels of flux * sqrt(ivar)"
#: Fractional size of the spectral features: noise beyond it is shrunk away (Wiener filter).
FEATURE_SIZE = 0.2
#: Range of log10(S/N per pixel) within which the network is told the S/N. Above 30 a spectrum differs from
#: its model by more than the noise. Moreover, the photon noise of the star's lines would show in the error
#: array, and instruments differ in how they report it.
INFORMATION_RANGE = (-2.0, 1.5)
#: Largest departure from the median, in medians, that is let through.
CLIP = 2.0


#: Most pixels of a row that one program of a GPU can hold.
_LONGEST = 8192


def usable(flux, ivar):
    """Pixels that carry information, shape (n, n_pixels)."""
    # NaN is neither above nor below anything; torch.isfinite reads and writes four times as much.
    return (ivar > 0) & (ivar < torch.inf) & (flux.abs() < torch.inf)


def by_rows(*tensors, dtypes=(torch.float32, torch.bool)):
    """`specvit.network.rowkernels` if they take these tensors (n, n_pixels), else None."""
    first = tensors[0]
    if not first.is_cuda or torch.compiler.is_compiling() or not can_compile(first.device):
        return None
    tracked = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    if tracked or first.ndim != 2 or first.shape[1] > _LONGEST or not len(first):
        return None
    if any(x.dtype not in dtypes for x in tensors):
        return None
    from specvit.network import rowkernels

    return rowkernels


def masked_median(values, mask):
    """Median of each row over the pixels where `mask` is True; NaN where there are none.

    Parameters
    ----------
    values : Tensor, shape (n, n_pixels)
        Finite where `mask` is True.
    mask : Tensor of bool, shape (n, n_pixels)
        True for the pixels that count.

    Returns
    -------
    Tensor, shape (n, 1)
    """
    if kernels := by_rows(values, mask):
        return kernels.medians(values, mask)
    count = mask.sum(dim=1, keepdim=True)  # (n, 1)
    if values.is_cuda:
        ordered = values.masked_fill(~mask, torch.inf).sort(dim=1).values  # masked pixels go last
        # gather halves separately: for an even count the median is the mean of the two middle values
        low = ordered.gather(1, ((count - 1) // 2).clamp_min(0))
        high = ordered.gather(1, (count // 2).clamp_max(values.shape[1] - 1))
    else:  # selection, a sixth of the work where one thread sorts
        known = values.masked_fill(~mask, torch.nan)
        low = known.nanmedian(dim=1, keepdim=True).values  # of an even count the lower one
        enough = (known <= low).sum(dim=1, keepdim=True) > count // 2
        above = known.masked_fill(~(known > low), torch.inf).amin(dim=1, keepdim=True)
        high = torch.where(enough, low, above)
    median = low + 0.5 * (high - low)
    return median.masked_fill(count == 0, torch.nan)


def median_snr(flux, ivar):
    """Signal-to-noise ratio of a spectrum: the median over usable pixels of flux·sqrt(ivar).

    Parameters
    ----------
    flux, ivar : Tensor, shape (n, n_pixels)
        Flux and its inverse variance, 0 where masked.

    Returns
    -------
    Tensor, shape (n,)
        NaN where no pixel is usable.

    Examples
    --------
    >>> flux, ivar = torch.tensor([[2.0, 1.0, 3.0]]), torch.tensor([[100.0, 0.0, 100.0]])
    >>> median_snr(flux, ivar).tolist()  # of 20 and 30
    [25.0]
    """
    return snr_and_coverage(flux, ivar)[0]


def snr_and_coverage(flux, ivar):
    """`median_snr`, and the share of pixels that are usable, both (n,)."""
    if kernels := by_rows(flux, ivar):
        return kernels.snr_and_coverage(flux, ivar)
    mask = usable(flux, ivar)
    snr = masked_median(flux * ivar.clamp_min(0).sqrt(), mask)[:, 0]
    return snr, mask.sum(1).to(flux.dtype) / flux.shape[1]


def _scale(flux, mask, level=None):
    """Median flux with unusable rows set to 1, and which rows are usable: (n, 1) and (n,)."""
    median = masked_median(flux, mask) if level is None else level
    valid = (median > 0) & torch.isfinite(median)
    return torch.where(valid, median, 1.0), valid[:, 0]


def _weighted(flux, ivar, level=None):
    """Two channels: the shrunk departure from the median, and how well each pixel is known.

    With s = median·sqrt(ivar), the S/N of the continuum in a pixel, and τ = 0.2 the size of spectral
    features: c0 = w·clip(flux/median − 1, ±2)/τ with the Wiener weight w = τ²s²/(1 + τ²s²), and
    c1 = clip(log10 s, −2, 1.5) − 1. A masked pixel is the limit s → 0: (0, −3).
    """
    mask = usable(flux, ivar)
    median, valid = _scale(flux, mask, level)
    s = median * torch.where(mask, ivar, 0.0).sqrt()
    departure = torch.where(mask, flux / median - 1, 0.0).clamp(-CLIP, CLIP)
    # 1 − 1/(1 + τ²s²) is the same weight and stays finite however large s is
    weight = 1 - 1 / (1 + (FEATURE_SIZE * s) ** 2)
    # 1e-30, far below the range, instead of 0: log10(0) = −inf would be clipped, too, but has no derivative.
    information = s.clamp_min(1e-30).log10().clamp(*INFORMATION_RANGE) - 1
    return torch.stack([weight * departure / FEATURE_SIZE, information], dim=1), valid


def _instrument(flux, ivar, lsf, sampling, level=None):
    """Four channels: those of ``weighted``, then `lsf` and `sampling`, 0 where a pixel is masked."""
    x, valid = _weighted(flux, ivar, level)
    bad = ~usable(flux, ivar)
    told = [None if one is None else per_pixel(one, flux).masked_fill(bad, 0) for one in (lsf, sampling)]
    none = torch.zeros_like(flux[:1]).expand_as(flux)
    return torch.stack([*x.unbind(1), *(none if one is None else one for one in told)], dim=1), valid


def per_pixel(values, like):
    """`values` of each spectrum (n,) or pixel as those of each pixel (n, n_pixels), of `like`'s type."""
    values = values.to(like.dtype)
    return (values[:, None] if values.ndim == 1 else values).expand_as(like)


def _median(flux, ivar, level=None):
    """One channel: flux scaled to a median of 0.5, the reference's normalisation; masked pixels at 0.5."""
    mask = usable(flux, ivar)
    median, valid = _scale(flux, mask, level)
    return torch.where(mask, flux / (2 * median), 0.5)[:, None], valid


def _none(flux, ivar, level=None):
    """One channel: the values as they are (features that are no spectra); masked ones are zero."""
    mask = usable(flux, ivar)
    return torch.where(mask, flux, 0.0)[:, None], mask.any(dim=1)


#: Input encodings by name: the function and its number of channels.
ENCODINGS = {
    "weighted": (_weighted, 2),
    "instrument": (_instrument, 4),
    "median": (_median, 1),
    "none": (_none, 1),
}


def n_channels(encoding):
    """Number of channels of an `encoding`."""
    check_choice("encoding", encoding, ENCODINGS)
    return ENCODINGS[encoding][1]


def encode(flux, ivar, encoding="weighted", lsf=None, sampling=None, level=None):
    """Network input from flux, inverse variance and, for ``instrument``, resolution and sampling.

    Parameters
    ----------
    flux : Tensor, shape (n, n_pixels)
        Observed flux in any unit. Where `ivar` is 0 it may be anything, NaN included.
    ivar : Tensor, shape (n, n_pixels)
        Inverse variance of `flux`; 0 says that nothing is known.
    encoding : {"weighted", "instrument", "median", "none"}
        ``weighted``: two channels, flux shrunk by its noise and log information per pixel.
        ``instrument``: four channels, these two, `lsf` and `sampling`.
        ``median``: one channel, flux of median 0.5. ``none``: one channel, values unchanged.
    lsf, sampling : Tensor, shape (n,) or (n, n_pixels), optional
        log2 of the ratio of the line spread function's σ, and of the native pixels' width, to those of the
        grid. By default 0, those of the grid. Other encodings ignore them.
    level : Tensor, shape (n, 1), optional
        What the flux is divided by, for derivatives at a fixed level; by default its median.

    Returns
    -------
    x : Tensor, shape (n, channels, n_pixels)
        Finite everywhere, also in rows that are not valid, which must not be used.
    valid : Tensor of bool, shape (n,)
        False where the median flux over usable pixels is undefined or not positive (``none``: where
        no value is usable): such a row has no scale, and nothing can be said of it.

    Raises
    ------
    ValueError
        If the shapes are not two-dimensional and equal, or the encoding is unknown.

    Notes
    -----
    ``weighted``. Advantages: the network knows the noise of every pixel, so that its σ follows it, and noise
    beyond the size of spectral features is shrunk away. Disadvantages: it needs errors that can be trusted;
    twice the input.

    ``instrument``. Advantage: one network for all spectrographs. Disadvantages: resolution and
    sampling of each spectrum must be stated, and training needs spectra of many instruments.

    ``median``. Advantages: the normalisation of the reference, which needs no errors. Disadvantages: bad
    pixels and gaps look like continuum, and the network must guess the noise from the flux.

    ``none``. Advantage: takes any features. Disadvantage: they must be scaled to order one beforehand, and
    the brightness of a star stays in them.

    In float32 the inverse variance overflows beyond 3e38 (an error of 5e-20): spectra in cgs units are
    to be scaled to order one in float64 first. An infinite inverse variance counts as a masked pixel.

    Examples
    --------
    >>> flux, ivar = torch.tensor([[2.0, 1.0, 3.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    >>> encode(flux, ivar, "median")[0].tolist()  # the second pixel is masked
    [[[0.4, 0.5, 0.6]]]
    """
    check_choice("encoding", encoding, ENCODINGS)
    if flux.ndim != 2 or flux.shape != ivar.shape:
        raise ValueError(
            "flux and ivar must have one shape (n, n_pixels), "
            f"got {tuple(flux.shape)} and {tuple(ivar.shape)}"
        )
    if encoding == "instrument":
        for name, value in (("lsf", lsf), ("sampling", sampling)):
            if value is not None and value.shape not in (flux.shape, flux.shape[:1]):
                raise ValueError(
                    f"{name} must have shape (n,) or that of flux, {tuple(flux.shape)}, got "
                    f"{tuple(value.shape)}"
                )
    told = lsf, sampling
    if level is None and encoding in ("weighted", "instrument") and (kernels := by_rows(flux, ivar)):
        told = [None if x is None or encoding == "weighted" else per_pixel(x, flux) for x in told]
        constants = FEATURE_SIZE, CLIP, *INFORMATION_RANGE
        return kernels.encoded(flux, ivar, n_channels(encoding), told, constants)
    if encoding == "instrument":
        return _instrument(flux, ivar, *told, level)
    return ENCODINGS[encoding][0](flux, ivar, level)
