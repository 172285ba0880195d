"""Bytes of a file: its beginning, packed or not, text in any coding."""

from __future__ import annotations

import bz2
import lzma
import zlib

__all__ = ["beginning", "decode", "is_fits", "is_packed", "unpack"]

_PACKED = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ", lzma.LZMADecompressor),
)


def beginning(source, size=-1):
    """What the first bytes of a file are.

    Parameters
    ----------
    source : str, path-like or file-like
        The file; one that is open stands at its beginning afterwards.
    size : int
        How many bytes; all by default.

    Returns
    -------
    bytes
    """
    if not hasattr(source, "read"):
        with open(source, "rb") as file:
            return file.read(size)
    source.seek(0)
    content = source.read(size)
    source.seek(0)
    return content.encode() if isinstance(content, str) else content


def is_fits(content):
    """Whether a file begins with a card of FITS: 80 letters without a line break, which IRAF's text has."""
    return content.startswith(b"SIMPLE") and not any(mark in content[:80] for mark in b"\r\n")


def is_packed(content):
    """Whether a file begins as gzip, bzip2 and xz files do."""
    return any(content.startswith(magic) for magic, _ in _PACKED)


def unpack(content, *, whole=True):
    """Content of a file, whether it is packed by gzip, bzip2, xz or not.

    Parameters
    ----------
    content : bytes
        The file, or its beginning.
    whole : bool
        Whether it must be the whole file.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If the packed file is cut or damaged.
    """
    for magic, unpacker in _PACKED:
        if content.startswith(magic):
            one = unpacker()
            try:
                unpacked = one.decompress(content)
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                raise ValueError(f"the packed file is damaged: {error}") from None
            if whole and not one.eof:
                raise ValueError("the packed file is cut")
            return unpacked
    return content


def decode(content):
    """Text of a file: UTF-8 or UTF-16 with or without a byte order mark, else Latin-1.

    Parameters
    ----------
    content : bytes
        The file, unpacked.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is binary.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\x00" in content[:4096]:
        raise ValueError("the file is binary, no text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
