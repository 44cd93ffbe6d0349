"""`args` of an application: what it is.

They never change in operation, since Ray restarts replicas when they do.
"""

from typing import Annotated

from pydantic import Field

from serve_app.bundle.manifest import Sha256, Version
from serve_app.settings.setting import Setting

PUBLIC_KEY_PATTERN = r"^[A-Za-z0-9+/]{43}=$"
# Written out in place of a key file: nobody is asked for a key.
AUTH_DISABLED = "disabled"
# What Ray reserves: more than nothing, which keeps the coordinator off a head node without CPUs.
COORDINATOR_CPUS = 0.01
# Labels are counted for 120 days: of those that take longer no whole month would be left.
MOST_LABEL_DELAY_DAYS = 90


def application_of(model: str, version: str) -> str:
    """The name of the application that holds an isolated version: `churn-1.1.0`."""
    return f"{model}-{version}"


Model = Annotated[
    str, Field(description="a name of serve_app/models, or a module with SPEC: shop.models.loan")
]
# Which manifests may be used: signed by one of these. `sluice keygen` prints a key.
PublicKey = Annotated[str, Field(pattern=PUBLIC_KEY_PATTERN)]
PublicKeys = Annotated[
    tuple[PublicKey, ...],
    Field(
        strict=False,
        max_length=20,
        description="Ed25519 keys; when set, only bundles signed by one of them serve",
    ),
]


# As a browser sends it: without a path, without a slash at its end, and in lower case.
Origin = Annotated[
    str,
    Field(pattern=r"^(\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?)$", max_length=260),
]


class ServerArgs(Setting):
    """`args` of `serve_app.app:server`."""

    model: Model
    store: Annotated[
        str, Field(description="folder or URI of the bundles; MODEL_PATH overrides it")
    ] = "model_store"
    state: Annotated[
        str,
        Field(
            min_length=1, description="folder or URI of the rollouts' logs; STATE_PATH overrides it"
        ),
    ] = "rollout_state"
    log: Annotated[
        str | None,
        Field(
            min_length=1,
            description="folder or URI of the prediction log, which is not kept without it; "
            "LOG_PATH overrides it",
        ),
    ] = None
    auth: Annotated[
        str | None,
        Field(
            min_length=1,
            description="path of the file of API keys, or `disabled`; KEYS_PATH overrides it",
        ),
    ] = None
    label_delay_days: Annotated[
        float | None,
        Field(
            ge=0,
            le=MOST_LABEL_DELAY_DAYS,
            description="after so many days all labels of a prediction have come, yes and no",
        ),
    ] = None
    label_keys: Annotated[
        str | None,
        Field(
            min_length=1,
            description="path of the secrets of prediction ids; LABEL_KEYS_PATH overrides it",
        ),
    ] = None
    public_keys: PublicKeys = ()
    docs: Annotated[
        bool, Field(description="whether /docs and /openapi.json are there; off in production")
    ] = True
    cors_origins: Annotated[
        tuple[Origin, ...],
        Field(
            strict=False,
            max_length=100,
            description="pages of these origins may ask from a browser; none by default",
        ),
    ] = ()


class VersionArgs(Setting):
    """`args` of `serve_app.app:version`, an isolated version."""

    model: Model
    store: Annotated[
        str, Field(description="folder or URI of the bundles; MODEL_PATH overrides it")
    ] = "model_store"
    version: Annotated[Version, Field(description="the version that this application holds")]
    manifest_sha256: Annotated[
        Sha256 | None, Field(description="pin: serve this manifest and no other")
    ] = None
    public_keys: PublicKeys = ()
