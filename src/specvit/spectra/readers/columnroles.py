"""What a column holds, by its name: wavelength, flux, its error in any form, a mask."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["NEED_UNITS", "ROLES", "Columns", "find_columns", "plain_name", "split_unit"]

# Role -> names of columns, without signs and capitals, the preferred one first.
_NAMES = {
    "wave": """wavelength wave lambda lam wl wlen wavelengths waveobs wavelengthobs waveobserved lambdaobs
        spectralaxis waveair wavelengthair lambdaair airwave wavevac wavelengthvac lambdavac vacwave
        vacuumwave wavevacuum wavelengthvacuum restwave angstrom angstroms ang aa nm wellenlaenge wellenlange
        wavel waves wavestack
        dispersion lnlambda lnlam lnwave lnwavelength wavenumber wavenumbers frequency freq""",
    "loglam": "loglam loglambda logwave logwavelength log10lam log10lambda log10wave logwl",
    "flux": """flux fluxdensity flambda flam fluxlambda fluxcal fluxreduced spectralflux fluxes spec spectrum
        intensity int coaddflux fluxnorm normflux normalizedflux normalisedflux fluxnormalized
        fluxnormalised normalized normalised norm sob f fl fluss signal counts count optflam optcounts fnu
        fluxnu sci data fluxstack spectra
        primary""",
    "sigma": """error err sigma uncertainty unc fluxerr fluxerror errflux errorflux eflux sigmaflux fluxsigma
        fluxunc fluxuncertainty uncflux errfluxreduced errreduced staterror std stddev fluxstd noise dflux
        errs errors sig uob normerr fluxnormerr errnorm efluxnorm normsigma
        normalizederror normalisederror fehler fluxe fluxsig uncert
        sigmastack""",
    "ivar": "ivar fluxivar ivarflux inversevariance invvar inversevar fluxinversevariance ivarnorm ivarstack",
    "var": "variance var fluxvariance fluxvar varflux variances stat",
    "mask": "mask badpix bad badmask bpm dq dataqual qual quality pixmask maskbits flags flag andmask",
    "good": "good goodpix goodmask valid isgood gpm maskstack",
}
#: Role -> names of columns that are known, a tuple.
ROLES = {role: tuple(names.split()) for role, names in _NAMES.items()}
#: Columns of the role "wave" that are no wavelength: they must state their unit.
NEED_UNITS = ("wavenumber", "wavenumbers", "frequency", "freq")
_ROLE_OF = {name: (role, rank) for role, names in ROLES.items() for rank, name in enumerate(names)}
_SUFFIX = re.compile(r"^(?P<name>.*[^_\W])_(?P<unit>AA?|ang|angstroms?|nm|um|micron)$", re.IGNORECASE)
_UNIT = re.compile(r"^(?P<name>[^\[\](]*?)[\s_]*[\[(](?P<unit>.*)[\])]\s*$")


class Columns(dict):
    """Names of the columns of a table by their role.

    Attributes
    ----------
    ignored : tuple of str
        Columns without a role, or whose role another has.
    """

    ignored = ()

    @property
    def complete(self):
        """Whether there is a wavelength and a flux."""
        return "flux" in self and ("wave" in self or "loglam" in self)

    @property
    def medium(self):
        """Medium that the name of the wavelengths says, "air" or "vacuum", or None."""
        name = plain_name(split_unit(self.get("wave", ""))[0])
        if "vac" in name:
            return "vacuum"
        return "air" if "air" in name else None


def plain_name(name):
    """A column's name without capitals, signs and accents, ä as ae.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
    """
    text = str(name).lower()
    for letter, two in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("λ", "lambda"), ("σ", "sigma")):
        text = text.replace(letter, two)
    text = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in text if letter.isascii() and letter.isalnum())


def split_unit(name):
    """A heading parted into its name and the unit in brackets behind it.

    Parameters
    ----------
    name : str
        As ``"wave [nm]"``, ``"Flux (erg/s/cm2/A)"``, or, of wavelengths, ``"wave_nm"``.

    Returns
    -------
    name, unit : str
        The unit is "" if there is none.
    """
    match = _UNIT.match(str(name)) or _SUFFIX.match(str(name))
    return (
        (match["name"].strip(), match["unit"].strip()) if match and match["name"].strip() else (str(name), "")
    )


def find_columns(names, chosen=None):
    """Columns by their role.

    Parameters
    ----------
    names : sequence of str
        Names of the columns, units in brackets behind them allowed.
    chosen : dict of str to str or int, optional
        Role ("wave", "loglam", "flux", "sigma" or "err", "ivar", "var", "mask", "good") -> name or number
        (from 1) of the column: what the caller says goes before what names say.

    Returns
    -------
    Columns
        Role -> name. Of several of one role the first in `ROLES` is taken; of several errors the standard
        deviation, else the inverse variance, else the variance. A flux and its error must be of one kind, if
        there is such a pair: flux_norm goes with err_norm, flux2 with err2, and not flux with err_norm.

    Raises
    ------
    ValueError
        If a role or column that was chosen does not exist.
    """
    names = list(names)
    found, ranks = {}, {}
    for name in _of_one_kind(names):
        role, rank = _ROLE_OF.get(_bare(name)[0], (None, None))
        if role is not None and rank < ranks.get(role, len(ROLES[role])):
            found[role], ranks[role] = name, rank
    for role, name in (chosen or {}).items():
        role = {"err": "sigma", "error": "sigma", "wavelength": "wave"}.get(role, role)
        if role not in ROLES:
            raise ValueError(f"columns must be chosen for {', '.join(ROLES)}, got {role!r}")
        found[role] = _chosen_name(name, names)
        for other in _rivals(role):
            found.pop(other, None)
    if "wave" in found and "loglam" in found:
        found.pop("loglam")
    for better, worse in (("sigma", "ivar"), ("sigma", "var"), ("ivar", "var")):
        if better in found:
            found.pop(worse, None)
    columns = Columns(found)
    columns.ignored = tuple(name for name in names if name not in columns.values())
    return columns


_ERRORS = ("sigma", "ivar", "var")
_KIND = re.compile(r"norm(?:ali[sz]ed)?|stack|reduced|nu(?=$)")


def _bare(name):
    """A column's name without a number at its end, unless it is known with it, and its kind."""
    plain = plain_name(split_unit(name)[0])
    short = plain.rstrip("0123456789")
    bare = plain if plain in _ROLE_OF or short not in _ROLE_OF else short
    word = _KIND.search(bare)
    return bare, (word[0][:4] if word else "") + plain[len(bare) :]


def _of_one_kind(names):
    """Names without the fluxes and errors that are of another kind than the chosen pair."""
    kinds = {"flux": {}, "error": {}}  # kind -> best rank, and place
    for place, name in enumerate(names):
        bare, kind = _bare(name)
        role, rank = _ROLE_OF.get(bare, (None, None))
        group = "flux" if role == "flux" else "error" if role in _ERRORS else None
        if group is not None:
            kinds[group][kind] = min((rank, place), kinds[group].get(kind, (rank, place)))
    pairs = set(kinds["flux"]) & set(kinds["error"])
    if len(kinds["flux"]) < 2 or not pairs:
        return names
    best = min(pairs, key=kinds["flux"].get)

    def belongs(name):
        bare, kind = _bare(name)
        return kind == best or _ROLE_OF.get(bare, ("",))[0] not in ("flux", *_ERRORS)

    return [name for name in names if belongs(name)]


def _rivals(role):
    """Roles of which only one is used, beside `role`."""
    groups = ({"wave", "loglam"}, {"sigma", "ivar", "var"}, {"mask", "good"})
    return next((group for group in groups if role in group), {role}) - {role}


def _chosen_name(name, names):
    """The column that a caller means by a name, in any capitals, or by a number from 1."""
    by_name = {str(one).lower(): one for one in reversed(names)} | {one: one for one in names}
    for candidate in (name, str(name).lower()):
        if candidate in by_name:
            return by_name[candidate]
    if str(name).isdigit() and 1 <= int(name) <= len(names):
        return names[int(name) - 1]
    raise ValueError(
        f"columns must name columns of the table, got {name!r}; it has {', '.join(map(str, names))}"
    )
