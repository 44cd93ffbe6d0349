"""AES-SIV of many contents of 32 bytes at once, with the same bytes as the library's, one by one.

RFC 5297 without associated data, where all contents have two blocks: each step is AES of one block
a content, and the library takes all blocks of a step in one call. A test compares the two.
"""

from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

N_BLOCK = 16
# RFC 5297, 2.5: two bits of the counter are cleared, so that adding to it never carries far.
_COUNTER = np.frombuffer(bytes.fromhex("ffffffffffffffff7fffffff7fffffff"), np.uint64)
# NIST SP 800-38B, 5.3: the polynomial of doubling in a field of 128 bits.
_POLYNOMIAL = 0x87


class ManySiv:
    """Seals by a key of 32 bytes: half of it authenticates, the other half encrypts."""

    def __init__(self, key: bytes) -> None:
        self._authenticate = _ecb(key[:N_BLOCK])
        self._encrypt = _ecb(key[N_BLOCK:])
        # What RFC 5297's S2V and the CMAC in it add to the last block, whatever the content is.
        subkey = _doubled(self._authenticate.update(bytes(N_BLOCK)))
        of_nothing = self._authenticate.update(subkey)
        self._added = _words(subkey)[0] ^ _words(of_nothing)[0]

    def seal(self, plains: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Contents of shape (n, 32) → (n, 6) words of 8 bytes: the tag, then what is encrypted."""
        contents = plains.view(np.uint64)
        first = _words(self._authenticate.update(contents[:, :2].tobytes()))
        last = first ^ contents[:, 2:] ^ self._added
        tags = _words(self._authenticate.update(last.tobytes()))

        counters = np.empty_like(contents)
        counters[:, :2] = tags & _COUNTER
        counters[:, 2:] = counters[:, :2]
        counters.view(">u4")[:, 7] += 1
        stream = _words(self._encrypt.update(counters.tobytes())).reshape(contents.shape)

        sealed = np.empty((len(plains), 6), np.uint64)
        sealed[:, :2] = tags
        np.bitwise_xor(stream, contents, out=sealed[:, 2:])
        return sealed


def _ecb(key: bytes) -> Any:
    # Blocks for themselves are the step of a mode here, never the mode of a content.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()


def _words(blocks: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(blocks, np.uint64).reshape(-1, 2)


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    if number >> 128:
        number ^= (1 << 128) | _POLYNOMIAL
    return number.to_bytes(N_BLOCK, "big")
