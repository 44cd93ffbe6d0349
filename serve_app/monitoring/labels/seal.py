"""The seal of prediction ids: nobody else can read one, make one, or change one.

AES-SIV (RFC 5297) from the library `cryptography`: it needs no nonce, so that replicas which share
a key have nothing to agree on. docs/decisions/057-sealed-prediction-ids.md says why.
"""

import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy import uint8
from numpy.typing import NDArray

from serve_app.monitoring.labels.siv import ManySiv

# 16 bytes of SIV and 32 of content, in base64.
N_CHARACTERS = 64
PURPOSE = b"sluice prediction id 1\x00"
_SEALED = re.compile(r"[A-Za-z0-9_-]{64}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class NotSealed(Exception):
    """It is no id of this model; the text says why, and never repeats it."""


class Seal:
    """Seals with the first of these secrets, and opens what any of them has sealed.

    Each model has keys of its own, derived from the secrets: an id of one is a forgery to another.
    Raises ValueError without a secret.
    """

    def __init__(self, secrets: Sequence[bytes], model: str) -> None:
        if not secrets:
            raise ValueError("secrets: found none, expected at least one")
        keys = [_derived(secret, model) for secret in secrets]
        self._ciphers = tuple(AESSIV(key) for key in keys)
        self._many = ManySiv(keys[0])

    def seal(self, plain: bytes) -> str:
        """The id of a content of 32 bytes, of which no two may be the same."""
        sealed = self._ciphers[0].encrypt(plain, None)
        return b2a_base64(sealed, newline=False).translate(_URL_SAFE).decode()

    def seal_many(self, plains: NDArray[uint8]) -> tuple[str, ...]:
        """The ids that `seal` gives, for contents of shape (n, 32): at a third of the cost."""
        sealed = self._many.seal(plains)
        text = b2a_base64(sealed.data, newline=False).translate(_URL_SAFE).decode()
        return tuple(text[i : i + N_CHARACTERS] for i in range(0, len(text), N_CHARACTERS))

    def open(self, prediction_id: str) -> bytes:
        """The 32 bytes of an id. Raises NotSealed.

        A key that does not fit costs as much as one that does; the library compares in constant
        time.
        """
        if not _SEALED.fullmatch(prediction_id):
            raise NotSealed(
                f"expected {N_CHARACTERS} letters, digits, - and _, as `prediction_id` of an answer"
            )
        sealed = urlsafe_b64decode(prediction_id)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed, None)
            except InvalidTag:
                continue
        raise NotSealed(
            "it was not sealed for this model by a key that is known here: it is of another model "
            "or service, or changed on its way, or its key was taken away"
        )


def _derived(secret: bytes, model: str) -> bytes:
    info = PURPOSE + model.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
