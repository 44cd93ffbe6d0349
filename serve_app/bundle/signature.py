"""Ed25519 over the bytes of a manifest, which holds the hash of every other file.

`manifest.sig` has one signature a line, in base64, so that a bundle may be signed by a new key
before the old one goes. A public key is its 32 raw bytes in base64: one word, to be written into
`args.public_keys`. (RFC 8032.)
"""

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from serve_app.errors import BundleError


def make_key(path: Path) -> str:
    """Write a new private key (PEM, for its owner's eyes only) and return the public one.

    Raises BundleError.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise BundleError(
            f"{path}: exists already; a key is never overwritten. Name another file"
        ) from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be written ({error.strerror})") from error
    return public_key_of(key)


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file. Raises BundleError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read ({error.strerror}); make one with: sluice keygen {path}"
        ) from error
    except (ValueError, TypeError) as error:
        raise BundleError(
            f"{path}: is no private key in PEM; make one with: sluice keygen FILE"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path}: is no Ed25519 key; make one with: sluice keygen FILE")
    return key


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The public key as it is written into `args.public_keys`."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(key: Ed25519PrivateKey, manifest: bytes) -> str:
    """One line for `manifest.sig`."""
    return base64.b64encode(key.sign(manifest)).decode()


def is_signed(manifest: bytes, signatures: bytes, public_keys: Sequence[str]) -> bool:
    """Whether one of the signatures is by one of the keys."""
    keys = [Ed25519PublicKey.from_public_bytes(base64.b64decode(key)) for key in public_keys]
    return any(_verifies(key, line, manifest) for line in signatures.split() for key in keys)


def _verifies(key: Ed25519PublicKey, line: bytes, manifest: bytes) -> bool:
    try:
        key.verify(base64.b64decode(line, validate=True), manifest)
    except (InvalidSignature, binascii.Error):
        return False
    return True
