"""The idx file format, in which MNIST and its relatives are published."""

import gzip
import math
import os
import struct
import zlib

import numpy as np

# Third byte of an idx file -> element type; big-endian, as the format prescribes.
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMS = 64  # what a NumPy 2 array can have; the format's one byte could say 255


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Array held by a gzipped idx file, in the machine's byte order.

    The format: two zero bytes, one byte for the element type, one for the number of dimensions, then each
    dimension as a big-endian unsigned 32-bit integer, then the elements, last index fastest, big-endian.

    Args:
        path: a gzip-compressed idx file (`*-ubyte.gz`) of any element type and any shape.

    Returns:
        A new, writable array of the type and shape that the file's header states.

    Raises:
        ValueError: the file is not gzip, is cut short, or does not hold what its header says. The message
            names the file and the defect.
        OSError: the file is absent or not readable.

    Reference: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section "The IDX
    file format".
    """
    try:
        with gzip.open(path) as file:
            data = file.read()
    except EOFError:
        raise corrupt(path, "it is truncated: the gzip stream ends too early") from None
    # A damaged stream shows up as either of the two, depending on where the damage lies.
    except (gzip.BadGzipFile, zlib.error) as err:
        raise corrupt(path, f"it is not a sound gzip file ({err})") from None
    if len(data) < 4:
        raise corrupt(path, f"it holds {len(data)} bytes, less than the 4 of an idx magic number")
    magic = int.from_bytes(data[:4], "big")
    code, ndim = data[2], data[3]
    if data[:2] != b"\0\0" or code not in _DTYPES or ndim > _MAX_DIMS:
        raise corrupt(path, f"its magic number 0x{magic:08x} is not one of an idx file")
    start = 4 + 4 * ndim
    if len(data) < start:
        raise corrupt(path, f"it ends inside its header of {ndim} dimensions")
    shape = struct.unpack(f">{ndim}I", data[4:start])
    dtype = np.dtype(_DTYPES[code])
    stated, found = math.prod(shape) * dtype.itemsize, len(data) - start
    if stated != found:
        raise corrupt(path, f"its header states shape {shape}, {stated} bytes, but {found} bytes follow")
    return np.frombuffer(data, dtype, offset=start).astype(dtype.newbyteorder("=")).reshape(shape)


def corrupt(path: str | os.PathLike[str], defect: str) -> ValueError:
    """What is wrong with a file, and what to do."""
    return ValueError(f"File {os.fspath(path)} cannot be used: {defect}. Delete it and download it again.")
