"""The calibration of a regressor's errors: factors on σ, how they are kept and how they are applied."""

from __future__ import annotations

import torch
from torch import nn

from specvit.network.cells import describe, interpolate_cells
from specvit.network.inputs import median_snr
from specvit.network.shapefactor import VARIABLES, interval_shape, n_terms, shape_variables

__all__ = ["CalibratedErrors"]


class CalibratedErrors(nn.Module):
    """What `LabelRegressor` is beside its network: buffers with factors on σ, and what sets and applies them.

    It needs the attributes ``encoding``, ``heteroscedastic``, ``label_scale`` and ``n_labels`` of that class,
    where its own buffers are described.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> regressor = LabelRegressor.build(config, "logg")
    >>> regressor.set_calibration([10.0, 1000.0], [[1.0], [2.0]])
    >>> regressor.calibration(torch.tensor([10.0, 100.0, 1e6])).tolist()
    [[1.0], [1.5], [2.0]]
    """

    def _register_calibration(self):
        # A point regressor knows no σ until it is calibrated.
        factor = torch.full((1, self.n_labels), 1.0 if self.heteroscedastic else torch.nan)
        self.register_buffer("calibration_snr", torch.ones(1))
        if self.encoding == "instrument":
            self.register_buffer("calibration_lsf", torch.zeros(1))
            self.register_buffer("calibration_coverage", torch.ones(1))
            self.register_buffer("shape_limits", torch.zeros(2, self.n_labels, len(VARIABLES)))
            self.register_buffer("shape_coefficients", torch.zeros(0, self.n_labels))
            factor = factor[None, None]
        self.register_buffer("calibration_factor", factor)

    def calibration_axes(self, flux, ivar, lsf=None):
        """Arguments of `calibration` for `flux`, `ivar`, `lsf`: S/N, for ``instrument`` lsf and coverage."""
        if self.encoding != "instrument":
            return (median_snr(flux, ivar),)
        return describe(flux, ivar, lsf)

    def calibration(self, snr, lsf=None, coverage=None):
        """Factor on σ at the signal-to-noise ratios `snr`, (n,) -> (n, n_labels).

        For the encoding ``instrument`` also at the relative line spread functions `lsf` and `coverage`, (n,).
        """
        dtype = self.calibration_snr.dtype
        # A ratio that is not positive is beyond the low end.
        log_snr = torch.log10(snr.to(dtype).nan_to_num(0.0).clamp_min(torch.finfo(dtype).tiny))
        axis = torch.log10(self.calibration_snr)
        if self.encoding != "instrument":
            return interpolate_cells((log_snr,), (axis,), self.calibration_factor)
        axes = (self.calibration_lsf, self.calibration_coverage.log(), axis)
        points = (lsf.to(dtype).nan_to_num(0.0), coverage.to(dtype).clamp_min(1e-4).log(), log_snr)
        return interpolate_cells(points, axes, self.calibration_factor)

    def error_factor(self, mean_z, log_sigma_z, *axes):
        """Product of all factors on σ.

        Parameters
        ----------
        mean_z, log_sigma_z : Tensor, shape (n, n_labels)
            Standardised labels and ln σ of them, as the network predicts them.
        *axes : Tensor, shape (n,)
            Of `calibration_axes`.

        Returns
        -------
        Tensor, shape (n, n_labels)
        """
        factor = self.calibration(*axes)
        if self.encoding != "instrument" or not len(self.shape_coefficients):
            return factor
        variables = shape_variables(mean_z, log_sigma_z, *axes)
        return factor * interval_shape(variables, self.shape_limits, self.shape_coefficients)

    def set_shape(self, limits, coefficients):
        """Set the second factor on σ of an ``instrument`` regressor.

        Parameters
        ----------
        limits : array-like of float, shape (2, n_labels, 5)
            Finite, the lowest values first.
        coefficients : array-like of float, shape (n_terms, n_labels)
            Finite; of shape (0, n_labels) for no such factor, where `limits` do not matter.
        """
        like = {"dtype": self.label_scale.dtype, "device": self.label_scale.device}
        limits, coefficients = torch.as_tensor(limits, **like), torch.as_tensor(coefficients, **like)
        shapes = (2, self.n_labels, len(VARIABLES)), ((n_terms(), self.n_labels), (0, self.n_labels))
        if limits.shape != shapes[0] or coefficients.shape not in shapes[1]:
            raise ValueError(
                f"shape_limits and shape_coefficients must have shapes {shapes[0]} and {shapes[1][0]}, got "
                f"{tuple(limits.shape)} and {tuple(coefficients.shape)}"
            )
        if not coefficients.isfinite().all():
            raise ValueError("shape_coefficients must be finite")
        if len(coefficients) and not (limits.isfinite().all() and (limits[0] < limits[1]).all()):
            raise ValueError("shape_limits must be finite, the lowest first")
        self.shape_limits, self.shape_coefficients = limits.clone(), coefficients.clone()

    def set_calibration(self, snr, factor, lsf=None, coverage=None):
        """Set the factors on σ; a second factor, of `set_shape`, is taken away.

        Parameters
        ----------
        snr : array-like of float, shape (k,)
            Positive and strictly increasing.
        factor : array-like of float, shape (k, n_labels)
            Positive and finite. For the encoding ``instrument`` of shape (a, b, k, n_labels).
        lsf, coverage : array-like of float, shapes (a,) and (b,), optional
            Strictly increasing, `coverage` positive; needed for ``instrument``, where they default to one
            value each, for which `factor` may have shape (k, n_labels).
        """
        like = {"dtype": self.label_scale.dtype, "device": self.label_scale.device}
        snr, factor = torch.as_tensor(snr, **like), torch.as_tensor(factor, **like)
        shape, axes = (len(snr) if snr.ndim == 1 else 0, self.n_labels), {"snr": snr}
        if self.encoding == "instrument":
            lsf = torch.zeros(1, **like) if lsf is None else torch.as_tensor(lsf, **like)
            coverage = torch.ones(1, **like) if coverage is None else torch.as_tensor(coverage, **like)
            if factor.ndim == 2:
                factor = factor[None, None]
            shape, axes = (len(lsf), len(coverage), *shape), {"coverage": coverage, "snr": snr}
        elif lsf is not None or coverage is not None:
            raise ValueError(f"lsf and coverage have no meaning for encoding={self.encoding!r}")
        if not all(shape) or factor.shape != shape:
            raise ValueError(
                f"snr and factor must have shapes (k,) and {('(a, b, ' if len(shape) == 4 else '(')}k, "
                f"{self.n_labels}) with k >= 1, got {tuple(snr.shape)} and {tuple(factor.shape)}"
            )
        for name, axis in axes.items():
            if not ((axis > 0).all() and axis.isfinite().all() and (axis.diff() > 0).all()):
                raise ValueError(f"{name} must be positive, finite and strictly increasing")
        if not ((factor > 0).all() and factor.isfinite().all()):
            raise ValueError("factor must be positive and finite")
        self.calibration_snr, self.calibration_factor = snr.clone(), factor.clone()
        if self.encoding == "instrument":
            self.calibration_lsf, self.calibration_coverage = lsf.clone(), coverage.clone()
            self.shape_coefficients = self.shape_coefficients[:0].clone()

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        if self.encoding == "instrument":  # weights of before the second factor have none
            state_dict.setdefault(prefix + "shape_coefficients", self.shape_coefficients[:0])
            state_dict.setdefault(prefix + "shape_limits", self.shape_limits)
        # The number of calibration points belongs to the state, not to the shape of the model.
        points = ("calibration_snr", "calibration_factor", "calibration_lsf", "calibration_coverage")
        for name in (*points, "shape_coefficients"):
            stored = state_dict.get(prefix + name)
            if stored is not None:
                setattr(self, name, getattr(self, name).new_empty(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
