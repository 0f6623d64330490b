"""What authentication may see of a request: its head, and who is at the other end. Nothing of the body."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shown:
    """The head of a request, as it was sent.

    `target`: the path, in its escaped form; `query`: what follows the question mark, without it. `headers`:
    names in lower case. `certificate`: of the client, DER, by our own TLS or as a proxy says that is
    believed; `chain`: those that came with it. `peer`: the client's address; empty where it is not known.
    `is_event`: it brings events, whose claims are guard enough against replays.
    """

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    method: str = "GET"
    scheme: str = "http"
    target: str = "/"
    query: str = ""
    certificate: bytes | None = field(default=None, repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    peer: str = ""
    is_event: bool = False

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order. `name`: in lower case."""
        # As a list first: each request is asked for five of them, and a generator takes twice the time.
        return tuple([value for one, value in self.headers if one == name])
