"""Which process is which part of a running Sluice, by what Linux shows of it. Pure."""

# By the name of the program.
_PROGRAMS = {"haproxy": "haproxy", "raylet": "raylet", "gcs_server": "gcs"}
# By what stands in the command line; Ray writes the actor's class there.
_TITLES = (
    (":churn:Server", "server"),
    (":Version", "isolated"),
    (":Coordinator", "coordinator"),
    ("HAProxyManager", "manager"),
    ("ProxyActor", "proxy"),
    ("ServeController", "controller"),
)
# What there has to be of each part before a fault, and again after it.
ALWAYS = {"coordinator": 1, "controller": 1, "raylet": 1, "gcs": 1}
OF_MODE = {"fast": {"haproxy": 1, "manager": 1}, "plain": {"proxy": 1}}
# Of these as many as there are replicas.
OF_PLACEMENT = {"in_server": ("server",), "isolated": ("server", "isolated")}


def part_of(program: str, command_line: str) -> str | None:
    """The part that a process is; None for what no fault is about, such as an idle worker.

    `program` is the name of its file, `command_line` what it shows as its title.
    """
    if program in _PROGRAMS:
        return _PROGRAMS[program]
    if not command_line.startswith("ray::"):
        return None
    return next((part for title, part in _TITLES if title in command_line), None)


def expected(mode: str, placement: str, replicas: int) -> dict[str, int]:
    """How many processes of each part a whole server has, at least."""
    return {**ALWAYS, **OF_MODE[mode], **dict.fromkeys(OF_PLACEMENT[placement], replicas)}
