"""Array types: what a caller may give as an array, and the native real types that the engine computes with."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from napari_dip.errors import InputError, reason

PART = 2**26
"""Bytes of an array that are hashed at a time."""


def as_array(given: Any) -> Any:
    """Leave lazy arrays and masked ones as they are; make plain numpy arrays of all else: lists, tensors, subclasses.

    Raises
    ------
    InputError
        If it cannot become an array.
    """
    if hasattr(given, "dims") and hasattr(given, "data"):
        given = given.data  # xarray's arrays have an indexing of their own
    is_array = hasattr(given, "ndim") and isinstance(getattr(given, "dtype", None), np.dtype)
    if isinstance(given, np.ma.MaskedArray):
        return given if np.ma.is_masked(given) else np.ma.getdata(given)
    if is_array and not isinstance(given, np.ndarray):
        return given
    try:
        return np.asarray(given)
    except Exception as error:  # lists of unequal length, tensors on another device: each library has its own errors
        raise InputError(f"The image cannot be read as an array: {reason(error)}; give a numpy array.") from error


def is_masked(array: Any) -> bool:
    """Whether an array, lazy or not, may have masked elements."""
    return isinstance(array, np.ma.MaskedArray) or isinstance(getattr(array, "_meta", None), np.ma.MaskedArray)


def bad_values(array: Any) -> str:
    """Name the values of an array that are no numbers."""
    return "masked, NaN or inf" if is_masked(array) else "NaN or inf"


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse values that are not real numbers.

    Raises
    ------
    InputError
    """
    if dtype.kind == "c":
        raise InputError(
            f"An image of {dtype.name} values cannot be restored; give real numbers, such as its magnitude (np.abs)."
        )
    if dtype.kind not in "biuf":
        raise InputError(
            f"An image of {dtype.name} values cannot be restored; give real numbers, such as uint16 or float32."
        )


def read_part(part: Any) -> np.ndarray:
    """Read a part of an array, lazy or not, in a native type; masked elements become NaN, in floats.

    Extended precision becomes float64: of its bytes, some hold nothing.
    """
    if is_masked(part):
        part = part.compute() if hasattr(part, "compute") else part  # `asarray` would drop the mask
        part = np.ma.filled(part.astype(np.result_type(part.dtype, np.float32)), np.nan)
    values = np.asarray(part)
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def computable(values: np.ndarray) -> np.ndarray:
    """Give native values in a type that numpy and scipy compute with: neither bool nor float16 is one."""
    if values.dtype == np.bool_:
        return values.view(np.uint8)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def read_array(name: str, given: Any) -> np.ndarray:
    """Read an array that a task takes beside the image, such as a point spread function; it is not changed.

    Raises
    ------
    InputError
        If it holds no pixels, or anything but finite real numbers.
    """
    array = as_array(given)
    if array.dtype.kind not in "biuf":
        raise InputError(f"The {name} holds {array.dtype.name} values; give real numbers, such as float32.")
    if not array.ndim or not all(array.shape):
        raise InputError(f"The {name} has shape {array.shape} and holds no pixels; give another.")
    values = read_part(array)
    if not np.isfinite(values).all():
        raise InputError(f"The {name} holds values that are {bad_values(array)}; repair them.")
    return values


def digest_of(array: Any) -> str:
    """Tell an array by shape, type and values, whatever its layout in memory; a lazy one is read part by part."""
    digest = new_digest(array)
    whole = array if array.ndim > 1 else np.atleast_2d(array)
    few = max(PART * len(whole) // max(whole.nbytes, 1), 1)
    for n in range(0, len(whole), few):
        digest.update(np.ascontiguousarray(read_part(whole[n : n + few])).data)
    return f"sha256:{digest.hexdigest()}"


def new_digest(array: Any) -> Any:
    """Begin a digest with shape and type of an array."""
    digest = hashlib.sha256()
    digest.update(f"{np.dtype(array.dtype).newbyteorder('=').str} {tuple(map(int, array.shape))}".encode())
    return digest
