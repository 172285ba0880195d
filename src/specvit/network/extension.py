"""More inputs or outputs for a regressor that is trained already."""

from __future__ import annotations

from specvit.network.regressor import LabelRegressor
from specvit.network.vit import ViTConfig

__all__ = ["extend_regressor"]


def extend_regressor(other, *, encoding=None, covariance=None):
    """A regressor that predicts the same as `other`, and has more inputs or outputs.

    New channels enter with weights of zero, and correlations begin at zero: training goes on where that
    of `other` ended. Its calibration is left behind.

    Parameters
    ----------
    other : LabelRegressor
        A trained network with the tokenizer ``local``, whose weights have the channels one after the other.
    encoding : {"weighted", "instrument"}, optional
        Encoding of the new regressor; by default that of `other`.
    covariance : bool, optional
        Whether the new one predicts correlations; by default as `other`.

    Returns
    -------
    LabelRegressor
        On the CPU.

    Raises
    ------
    ValueError
        If inputs or outputs of `other` would be lost, or its tokenizer is another.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> network.encoding, extend_regressor(network, encoding="instrument").encoding
    ('weighted', 'instrument')
    """
    encoding = other.encoding if encoding is None else encoding
    covariance = other.covariance if covariance is None else covariance
    allowed = encoding == other.encoding or (other.encoding, encoding) == ("weighted", "instrument")
    if not allowed or covariance < other.covariance or other.config.tokenizer != "local":
        raise ValueError(
            f"encoding and covariance must keep what the other regressor has ({other.encoding!r}, "
            f"{other.covariance}, tokenizer {other.config.tokenizer!r}), got {encoding!r}, {covariance}"
        )
    description = {**other.to_dict(), "encoding": encoding, "covariance": covariance}
    config = ViTConfig.from_dict(description.pop("config"))
    regressor = LabelRegressor.build(config, description.pop("label_names"), **description)
    own = regressor.network.state_dict()
    for name, value in other.network.state_dict().items():
        # New channels follow the old ones in a token's pixels, new outputs in the head's.
        own[name].zero_()
        own[name][tuple(slice(size) for size in value.shape)] = value.to(own[name])
    regressor.network.load_state_dict(own)
    regressor.set_label_scaling(other.label_centre, other.label_scale)
    return regressor
