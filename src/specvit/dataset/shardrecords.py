"""What of a data set is on disk already: records and checksums of shards."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch

from specvit.dataset.layout import ARRAYS, LABEL_COLUMNS, PARAMS
from specvit.dataset.seal import check_seal
from specvit.digests import digest

__all__ = ["dataset_fingerprint", "describe", "is_complete"]

_FOREIGN_ROWS = 64  # of files without checksums, the spectra that stand for all


def describe(survey, stream):
    """What tells one survey from another: its repr, and what two of its stars look like."""
    unknown = set(survey.label_names) - set(LABEL_COLUMNS)
    if unknown:
        raise ValueError(f"labels must be among {sorted(LABEL_COLUMNS)}, the survey has {sorted(unknown)}")
    probe = survey.draw(2, stream=stream)
    if getattr(probe, "lsf", None) is not None or getattr(probe, "sampling", None) is not None:
        raise ValueError(
            f"survey must be of one instrument, got {survey!r}: the layout has no place for a line spread "
            "function and pixels of each spectrum. Draw such spectra anew (Survey.draw, "
            "LoggEstimator.fit(survey)), or take a survey on an instrument's own pixels"
        )
    arrays = (probe.labels, probe.magnitude[:, None], *map(_mid, (probe.noiseless, probe.noiseless_sigma)))
    probe = torch.cat([values.double().cpu() for values in arrays], 1).flatten().tolist()
    seed = getattr(survey, "seed", None)
    found = {
        "survey": repr(survey),
        "seed": seed,
        "edges": digest(survey.grid.edges, length=64),
        "probe": probe,
    }
    if hasattr(survey, "to_dict"):
        found["definition"] = survey.to_dict()
    return json.loads(json.dumps(found))  # as it will be read


def dataset_fingerprint(dataset):
    """What tells one data set from another: its rows, labels, and the checksums in its files.

    Of files without checksums, which other programs wrote, all labels count and 64 spectra of the set.

    Parameters
    ----------
    dataset : SpectrumDataset
        The set, or a part of one.

    Returns
    -------
    list
        Plain JSON types.
    """
    import h5py

    rows = np.arange(len(dataset))
    found = [list(dataset.label_names), digest(dataset.rows_on_disk(rows)), dataset.file_sizes]
    for path in dataset.paths:
        with h5py.File(path) as file:
            record = file["dataset"].attrs.get("specvit")
            found.append(None if record is None else json.loads(record)["checksums"])
    if None in found:
        some = dataset[np.unique(np.linspace(0, len(dataset) - 1, _FOREIGN_ROWS).astype(int))]
        found.append(digest(dataset.read_labels(), some.flux, some.noiseless_sigma))
    return found


def _mid(values):
    return values.nanmedian(1, keepdim=True).values


def is_complete(shard):
    """Whether the shard is on disk and intact; ValueError if something else is in its place."""
    import h5py

    path = shard.path
    if not path.exists():
        return False
    try:
        with h5py.File(path) as file:
            found = json.loads(file["dataset"].attrs["specvit"])
            checksums = found.pop("checksums")
            _same_record(path, found, shard.record)
            try:
                check_seal(path)
                return checksums == _checksums(file)
            except (OSError, KeyError, ValueError):
                return False  # damaged since it was written
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: in the way and no shard of this package ({error}); remove it") from error


def _same_record(path, found, expected):
    for name, value in expected.items():
        same = found.get(name) == value
        if name == "probe":
            there = np.array(found.get(name) or [], dtype=float)
            same = there.shape == np.shape(value) and np.allclose(there, value, 1e-3, 1e-6, equal_nan=True)
        if not same:
            raise ValueError(
                f"{path}: belongs to another data set, its {name} is {found.get(name)!r} and not {value!r}; "
                "choose another folder or remove it"
            )


def _checksums(file):
    sums = {}
    for name, key in {**ARRAYS, "params": f"{PARAMS}/table"}.items():
        values, total = file[key], hashlib.sha256()
        for start in range(0, len(values), 1024):
            total.update(values[start : start + 1024].view(np.uint8))
        sums[name] = total.hexdigest()
    return sums
