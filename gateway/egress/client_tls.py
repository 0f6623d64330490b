"""Who we are at an endpoint that wants a client certificate. The key never lies in a file system on a disk.

Source: OpenSSL reads certificates and keys from files only; on Linux a file may be memory (`memfd_create`).
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.dialler import default_tls


def client_tls(chain: str, private_key: str, authorities: str | None) -> ssl.SSLContext:
    """A context that shows this certificate (PEM, with those between it and its authority).

    `authorities`: PEM of those that alone may have issued the other side's; None: the public ones.

    Raises:
        ssl.SSLError: they cannot be read, or do not belong together.
    """
    context = default_tls(authorities)
    with _held(chain + private_key) as name:
        context.load_cert_chain(name)
    return context


@contextmanager
def _held(text: str) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("client", os.MFD_CLOEXEC)
        try:
            os.write(handle, text.encode("ascii"))
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
    else:
        # Readable by its owner alone, and gone at once; only where a file cannot be memory.
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode("ascii"))
            file.flush()
            yield file.name
