"""What `sluice up` says at the terminal: what starts, what is in the way, and where it answers."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from serve_app.access.auth import auth_setting
from serve_app.commands.target import Served
from serve_app.commands.trouble import Trouble, read_troubles
from serve_app.models import get_spec
from serve_app.settings import AUTH_DISABLED


@dataclass
class Teller:
    """Says why applications do not get ready, each reason once."""

    status_file: Path
    console: Console
    told: dict[str, str] = field(default_factory=dict)

    def look(self) -> list[Trouble]:
        """Say what is new, and give all that is in the way."""
        found = read_troubles(self.status_file)
        for trouble in found:
            if self.told.get(trouble.application) != str(trouble):
                style = "red" if trouble.has_failed else "yellow"
                self.console.print(f"[{style}]{escape(str(trouble))}[/]", soft_wrap=True)
                self.told[trouble.application] = str(trouble)
        return found


def say_where(found: list[Served], console: Console) -> None:
    """Say the address of each model, with a request that it answers."""
    for endpoint in found:
        spec = get_spec(endpoint.model)
        docs = f"  (docs: {endpoint.url}/docs)" if endpoint.docs else ""
        console.print(f"\n[bold]{spec.title}[/bold] is ready: {endpoint.url}/{docs}")
        if not spec.examples:
            continue
        body = json.dumps(spec.examples[0].row.model_dump(mode="json"))
        curl = f"curl -s {endpoint.url}/v1/predict -H 'Content-Type: application/json'"
        if auth_setting(endpoint.auth) not in (None, AUTH_DISABLED):
            curl += ' -H "X-API-Key: $SLUICE_API_KEY"'
        console.print(f"{curl} \\\n  -d '{body}'", highlight=False, soft_wrap=True, markup=False)
    console.print("\nCtrl-C ends it.")
