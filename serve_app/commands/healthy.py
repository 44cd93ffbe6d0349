"""What the image's HEALTHCHECK asks: whether the server of this container is ready.

    python -m serve_app.commands.healthy

The port speaks TLS where `sluice up` was given a certificate, which names another host than the one
that is asked here. Exit code 0: `/ready` says so; 1: it does not, or nothing answers.
"""

import http.client
import os
import ssl
import sys

TIMEOUT_S = 3.0
HOST = "127.0.0.1"


def is_ready(port: int) -> bool:
    """Ask in plain HTTP, and by TLS where that is not what the port speaks."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    secure = http.client.HTTPSConnection(HOST, port, timeout=TIMEOUT_S, context=context)
    for connection in (plain, secure):
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except TimeoutError:
            # It speaks this, and is too busy; the engine waits no longer than this once.
            return False
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ["SLUICE_PORT"])) else 1)
