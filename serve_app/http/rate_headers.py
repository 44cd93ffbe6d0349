"""What an answer says of its caller's rate: draft-ietf-httpapi-ratelimit-headers (decision 24)."""

from serve_app.access.rates import Allowance


def rate_headers(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy`: what the key allows over all servers; `RateLimit`: what is left here.

    Both count rows; the draft's registry has no unit for them, so the policy's name says it.
    """
    n_rows, seconds = allowance.policy
    n_left, more_in_s = allowance.left
    policy = f'"rows";q={n_rows};w={seconds}'
    left = f'"rows";r={n_left};t={more_in_s}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
