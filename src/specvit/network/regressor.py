"""`LabelRegressor`: a network that takes flux and inverse variance and returns labels and their errors."""

from __future__ import annotations

import torch

from specvit.checks import check_choice
from specvit.network.calibratederrors import CalibratedErrors
from specvit.network.heads import n_outputs_of, split_heads
from specvit.network.inputs import encode, n_channels
from specvit.network.labelscaling import LABEL_SCALINGS, centre_and_scale
from specvit.network.vit import SpectrumViT, ViTConfig

__all__ = ["LabelRegressor"]


class LabelRegressor(CalibratedErrors):
    """Labels of spectra with a Vision Transformer.

    Parameters
    ----------
    config : ViTConfig
        Shape of the network. Its `in_channels` must be the encoding's, its `n_outputs` the number k of
        labels, 2 k where heteroscedastic, k (k + 3)/2 with their correlations; `LabelRegressor.build` sets
        both.
    label_names : sequence of str
        Names of the labels, in the order of the outputs.
    encoding : {"weighted", "instrument", "median", "none"}
        Form in which the network gets spectra, see `specvit.network.encode`.
    label_scaling : {"standard", "minmax", "none"}
        How `fit_label_scaling` sets centre and scale. "standard" gives all labels the same weight in the loss
        and one outlier changes it little; "minmax" keeps targets in [0, 1], but one outlier squeezes the
        rest; "none" suits labels of order one only: Teff in K would outweigh the others.
    heteroscedastic : bool
        Whether to predict a σ for each label and spectrum besides the mean.
    covariance : bool
        Whether to predict the correlations of the errors of the labels, too.
    wavelength : array-like of float, shape (n_pixels,), optional
        Wavelengths of the pixels in Å, for ``position="pipe"``.

    Attributes
    ----------
    label_centre, label_scale : Tensor, shape (n_labels,)
        label = label_centre + label_scale · z; 0 and 1 until set.
    calibration_snr : Tensor, shape (k,)
        Signal-to-noise ratios of the calibration.
    calibration_factor : Tensor, shape (k, n_labels)
        Factors on σ at these signal-to-noise ratios; linear in log10(S/N) between them, constant beyond. For
        the encoding ``instrument`` of shape (a, b, k, n_labels), also at relative line spread functions
        `calibration_lsf` (a,) and coverages `calibration_coverage` (b,).
    shape_limits, shape_coefficients : Tensor, shapes (2, n_labels, 5) and (m, n_labels)
        ``instrument`` only: a second factor, for the shape of the posterior, see
        `specvit.network.shapefactor.interval_shape`; with m = 0 there is none.
    correlation_shrinkage : Tensor, shape ()
        Share of the predicted correlations that calibration has taken away; with `covariance` only.

    See Also
    --------
    specvit.LoggEstimator : Such a network for users, which takes spectra and returns tables.

    Examples
    --------
    >>> regressor = LabelRegressor.build(ViTConfig(n_pixels=64, width=16, depth=1, mlp=16), ("logg", "teff"))
    >>> regressor.predict(torch.ones(3, 64), torch.full((3, 64), 100.0))[1].shape  # σ
    torch.Size([3, 2])
    """

    def __init__(
        self,
        config,
        label_names,
        *,
        encoding="weighted",
        label_scaling="standard",
        heteroscedastic=True,
        covariance=False,
        wavelength=None,
    ):
        super().__init__()
        label_names = (label_names,) if isinstance(label_names, str) else tuple(label_names)
        if not label_names or len(set(label_names)) != len(label_names):
            raise ValueError(f"label_names must be one or more different names, got {label_names!r}")
        check_choice("label_scaling", label_scaling, LABEL_SCALINGS)
        if covariance and not heteroscedastic:
            raise ValueError("covariance=True needs heteroscedastic=True")
        needed_outputs = n_outputs_of(len(label_names), heteroscedastic, covariance)
        for name, needed in (("in_channels", n_channels(encoding)), ("n_outputs", needed_outputs)):
            if getattr(config, name) != needed:
                raise ValueError(
                    f"config.{name} must be {needed} for encoding={encoding!r}, {len(label_names)} labels, "
                    f"heteroscedastic={heteroscedastic} and covariance={covariance}, got "
                    f"{getattr(config, name)}"
                )
        self.config, self.label_names, self.encoding = config, label_names, encoding
        self.label_scaling, self.heteroscedastic = label_scaling, bool(heteroscedastic)
        self.covariance = bool(covariance)
        self.wavelength = None if wavelength is None else [float(value) for value in wavelength]
        self.network = SpectrumViT(config, wavelength)
        self.register_buffer("label_centre", torch.zeros(len(label_names)))
        self.register_buffer("label_scale", torch.ones(len(label_names)))
        self._register_calibration()
        if covariance:
            self.register_buffer("correlation_shrinkage", torch.zeros(()))

    @classmethod
    def build(
        cls,
        config,
        label_names,
        *,
        encoding="weighted",
        label_scaling="standard",
        heteroscedastic=True,
        covariance=False,
        wavelength=None,
    ):
        """A regressor whose configuration's channels and outputs are set to fit the other arguments.

        Parameters
        ----------
        config, label_names, encoding, label_scaling, heteroscedastic, covariance, wavelength
            As for `LabelRegressor`; `in_channels` and `n_outputs` of `config` do not matter.
        """
        label_names = (label_names,) if isinstance(label_names, str) else tuple(label_names)
        fitted = {
            "in_channels": n_channels(encoding),
            "n_outputs": n_outputs_of(len(label_names), heteroscedastic, covariance),
        }
        config = ViTConfig.from_dict({**config.to_dict(), **fitted})
        return cls(
            config,
            label_names,
            encoding=encoding,
            label_scaling=label_scaling,
            heteroscedastic=heteroscedastic,
            covariance=covariance,
            wavelength=wavelength,
        )

    @property
    def n_labels(self):
        """Number of labels."""
        return len(self.label_names)

    def encode(self, flux, ivar, lsf=None, sampling=None):
        """Network input (n, channels, n_pixels) and validity (n,) of `flux`, `ivar`, `lsf`, `sampling`."""
        x, valid = encode(flux, ivar, self.encoding, lsf, sampling)
        return x.to(self.label_scale.dtype), valid

    def heads(self, x):
        """`Heads` of an encoded input `x` (n, channels, n_pixels)."""
        return split_heads(self.network(x), self.n_labels, self.heteroscedastic, self.covariance)

    def forward(self, flux, ivar, lsf=None, sampling=None):
        """Standardised labels.

        Parameters
        ----------
        flux, ivar, lsf, sampling
            As for `specvit.network.encode`; the last two for the encoding ``instrument``.

        Returns
        -------
        mean_z : Tensor, shape (n, n_labels)
            NaN in rows that cannot be used (see `specvit.network.encode`).
        log_sigma_z : Tensor, shape (n, n_labels), or None
            ln σ, confined to (−7, 3).
        """
        x, valid = self.encode(flux, ivar, lsf, sampling)
        mean, log_sigma, _ = self.heads(x)
        invalid = ~valid[:, None]
        mean = mean.masked_fill(invalid, torch.nan)
        return mean, None if log_sigma is None else log_sigma.masked_fill(invalid, torch.nan)

    @torch.no_grad()
    def predict(self, flux, ivar, lsf=None, sampling=None, *, return_snr=False):
        """Labels and their calibrated errors in physical units.

        Parameters
        ----------
        flux, ivar, lsf, sampling
            As for `specvit.network.encode`; the last two for the encoding ``instrument``.
        return_snr : bool
            Whether to return the `median_snr` (n,) of the spectra, too.

        Returns
        -------
        mean, sigma : Tensor, shape (n, n_labels)
            NaN in rows that cannot be used. Without a predicted σ, `sigma` is the label scale times
            the calibration factor, which is NaN until `set_calibration`.
        """
        mean, sigma, _, snr = self._predict(flux, ivar, lsf, sampling)
        return (mean, sigma, snr) if return_snr else (mean, sigma)

    @torch.no_grad()
    def predict_covariance(self, flux, ivar, lsf=None, sampling=None):
        """Labels and the calibrated covariance of their errors in physical units.

        Parameters
        ----------
        flux, ivar, lsf, sampling
            As for `predict`.

        Returns
        -------
        mean : Tensor, shape (n, n_labels)
        covariance : Tensor, shape (n, n_labels, n_labels)
            Its diagonal is the square of the σ of `predict`; NaN in rows that cannot be used.

        Raises
        ------
        ValueError
            If the regressor does not predict correlations.
        """
        if not self.covariance:
            raise ValueError("predict_covariance needs a regressor with covariance=True")
        mean, sigma, factor, _ = self._predict(flux, ivar, lsf, sampling)
        correlation = factor @ factor.mT * (1 - self.correlation_shrinkage)
        correlation = correlation + torch.eye(self.n_labels).to(correlation) * self.correlation_shrinkage
        return mean, sigma[:, :, None] * correlation * sigma[:, None, :]

    def _predict(self, flux, ivar, lsf, sampling):
        """Mean, calibrated σ, the factor of the correlations or None, and the S/N."""
        training = self.training
        self.eval()
        try:
            x, valid = self.encode(flux, ivar, lsf, sampling)
            mean_z, log_sigma_z, factor = self.heads(x)
        finally:
            self.train(training)
        invalid = ~valid[:, None]
        sigma_z = torch.ones_like(mean_z) if log_sigma_z is None else log_sigma_z.exp()
        axes = self.calibration_axes(flux, ivar, lsf)
        sigma = sigma_z * self.label_scale * self.error_factor(mean_z, sigma_z.log(), *axes)
        mean = self.label_centre + self.label_scale * mean_z
        mean, sigma = (x.masked_fill(invalid, torch.nan) for x in (mean, sigma))
        return mean, sigma, factor, axes[0]

    def set_label_scaling(self, centre, scale):
        """Set label = `centre` + `scale`·z; both array-like of shape (n_labels,), `scale` positive."""
        like = {"dtype": self.label_scale.dtype, "device": self.label_scale.device}
        centre, scale = torch.as_tensor(centre, **like), torch.as_tensor(scale, **like)
        for name, value in (("centre", centre), ("scale", scale)):
            if value.shape != (self.n_labels,) or not value.isfinite().all():
                raise ValueError(
                    f"{name} must be finite of shape ({self.n_labels},), got {tuple(value.shape)}"
                )
        if not (scale > 0).all():
            raise ValueError(f"scale must be positive, got {scale.tolist()}")
        self.label_centre, self.label_scale = centre.clone(), scale.clone()

    def fit_label_scaling(self, labels):
        """Set centre and scale from training `labels` of shape (n, n_labels), see `centre_and_scale`."""
        self.set_label_scaling(*centre_and_scale(labels, self.n_labels, self.label_scaling))

    def to_dict(self):
        """Plain-Python description; `from_dict` and the state dict together rebuild the regressor."""
        return {
            "config": self.config.to_dict(),
            "label_names": list(self.label_names),
            "encoding": self.encoding,
            "label_scaling": self.label_scaling,
            "heteroscedastic": self.heteroscedastic,
            **({"covariance": True} if self.covariance else {}),
            "wavelength": self.wavelength if self.config.position == "pipe" else None,
        }

    @classmethod
    def from_dict(cls, description):
        """An untrained regressor of the shape that `description`, from `to_dict`, states."""
        description = dict(description)
        return cls(
            ViTConfig.from_dict(description.pop("config")), description.pop("label_names"), **description
        )
