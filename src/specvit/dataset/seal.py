"""The seal of a data set's file: a block before the HDF5, by which any damage is found.

HDF5 of the layout's version has no checksums. A file of this package begins with a user block of 512 bytes,
which HDF5 leaves alone and every reader of HDF5 skips. It holds a line of JSON: where the large arrays lie,
and a SHA-256 of these places, of the size of the file and of all its bytes outside them. The arrays
themselves have checksums in the record, which the seal covers; they are compared when an array is first read.
"""

from __future__ import annotations

import json
import os

import numpy as np

from specvit.digests import digest

__all__ = ["BLOCK", "check_region", "check_seal", "seal"]

BLOCK = 512  # the smallest user block that HDF5 allows
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_KIND = "specvit-seal-1"
_PIECE = 1 << 20


def seal(path, arrays):
    """Seal a finished file, which was made with a user block of `BLOCK` bytes.

    Parameters
    ----------
    path : path-like
        The file, closed.
    arrays : list of (int, int)
        First byte and number of bytes of each large array.
    """
    arrays = sorted([int(first), int(size)] for first, size in arrays if size)
    text = {"kind": _KIND, "arrays": arrays, "sha256": _digest_outside(path, arrays)}
    with open(path, "r+b") as file:
        file.write(_block(text))


def check_seal(path):
    """Raise ValueError if a file with a seal is not as it was written.

    Parameters
    ----------
    path : path-like
        A file. One that begins as HDF5 does, and so has no seal, is left alone.

    Returns
    -------
    bool
        Whether it is sealed.

    Raises
    ------
    ValueError
        If a byte outside of the large arrays has changed, or the file begins neither with a seal nor as HDF5.
    """
    with open(path, "rb") as file:
        block = file.read(BLOCK)
    if block.startswith(_SIGNATURE):
        return False
    try:
        found = json.loads(block.rstrip(b"\0"))
        arrays = [(first, size) for first, size in found["arrays"]]
        whole = found["kind"] == _KIND and block == _block(found)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: truncated, damaged, or not an HDF5 file of this layout") from None
    if not whole or found["sha256"] != _digest_outside(path, arrays):
        raise ValueError(f"{path}: damaged, it is not as it was written (its seal is broken)")
    return True


def check_region(descriptor, first, size, sha256):
    """Whether the bytes of an array are those that were written.

    Parameters
    ----------
    descriptor : int
        The open file.
    first, size : int
        First byte and number of bytes.
    sha256 : str
        Their checksum.
    """
    import hashlib  # of a stream: `digest` is for what is in memory

    total = hashlib.sha256()
    for start in range(first, first + size, _PIECE):
        total.update(os.pread(descriptor, min(_PIECE, first + size - start), start))
    return total.hexdigest() == sha256


def _block(text):
    """The user block of a text; ValueError if it does not fit."""
    line = json.dumps({name: text[name] for name in ("kind", "arrays", "sha256")}).encode()
    if len(line) > BLOCK:
        raise ValueError(f"a seal must fit {BLOCK} bytes, got {len(line)}")
    return line.ljust(BLOCK, b"\0")


def _digest_outside(path, arrays):
    """SHA-256 of a file's size, the places of its arrays, and all bytes behind the block but theirs."""
    size, parts, at = os.path.getsize(path), [], BLOCK
    with open(path, "rb") as file:
        for first, length in [*arrays, (size, 0)]:
            file.seek(at)
            parts.append(np.frombuffer(file.read(max(first - at, 0)), np.uint8))
            at = first + length
    about = np.frombuffer(json.dumps([size, [list(place) for place in arrays]]).encode(), np.uint8)
    return digest(about, *parts, length=64)
