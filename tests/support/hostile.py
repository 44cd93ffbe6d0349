"""A thousand hostile requests, each with a name and the statuses that answer it rightly.

Each carries MARKER wherever it can, and no answer may repeat it. Nothing here is random.
"""

from hostile_bodies import bodies_of, cells_of, commands_of, media_types_of, shapes_of
from hostile_heads import bytes_of, handshakes_of, headers_of, ids_of, methods_of, paths_of
from hostile_labels import labels_of
from hostile_request import Hostile

from serve_app.contract import ModelSpec

FAMILIES = (
    *(cells_of, shapes_of, bodies_of, media_types_of, commands_of, labels_of),
    *(headers_of, ids_of, bytes_of, paths_of, methods_of, handshakes_of),
)


def hostile_requests(spec: ModelSpec) -> list[Hostile]:
    """All of them for a model, in an order that stays; no two have the same name."""
    return [request for family in FAMILIES for request in family(spec)]
