"""Digests of arrays: the bytes that are hashed, as files and records have them."""

import hashlib

import numpy as np

from specvit.digests import digest


def test_it_is_the_sha256_of_the_bytes_one_after_the_other():
    a, b = np.arange(5.0), np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = hashlib.sha256(a.tobytes() + b.tobytes()).hexdigest()
    assert digest(a, b, length=64) == expected and digest(a, b) == expected[:16]


def test_order_in_memory_does_not_matter_but_type_does():
    a = np.arange(6.0).reshape(2, 3)
    assert digest(np.asfortranarray(a)) == digest(a[::1]) == digest(a.tolist())
    assert digest(a[:, ::-1]) != digest(a) != digest(a.astype(np.float32))


def test_numbers_without_a_dimension_count():
    assert digest(np.float64(2)) == digest(np.array([2.0]))
    assert digest() == hashlib.sha256().hexdigest()[:16]
