"""Carries calls for Microsoft's addresses to the simulator, for clients that take no other address.

    python -m tests.foreign.carrier http://127.0.0.1:8765

An HTTPS proxy on loopback. It answers for the API's host and the sign-in service with certificates of an
authority made for this run, and refuses every other host, so nothing leaves the machine. Responsible for the
transport alone: what travels inside is not looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("api.partnercenter.microsoft.com", "login.microsoftonline.com")


@dataclass(frozen=True)
class Carrier:
    """What a client has to be told: where the proxy is, and the file of the authority it must trust."""

    proxy: str
    authority: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Python's requests, curl and Node read."""
        return {
            "HTTPS_PROXY": self.proxy,
            "https_proxy": self.proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": str(self.authority),
            "SSL_CERT_FILE": str(self.authority),
            "NODE_EXTRA_CA_CERTS": str(self.authority),
        }


@contextlib.contextmanager
def carrying(address: str) -> Iterator[Carrier]:
    """A carrier to the simulator at `address` (http://host:port)."""
    with tempfile.TemporaryDirectory(prefix="carrier-") as folder:
        context, authority = _identity(Path(folder))
        target = urlsplit(address)
        server = _Proxy(context, (target.hostname or "", target.port or 80))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield Carrier(f"http://127.0.0.1:{server.server_address[1]}", authority)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext, target: tuple[str, int]) -> None:
        self.context = context
        self.target = target
        super().__init__(("127.0.0.1", 0), _Connection)


class _Connection(socketserver.StreamRequestHandler):
    rbufsize = 0  # what follows the request line and headers belongs to TLS
    server: _Proxy

    def handle(self) -> None:
        method, host = self._request()
        if method != "CONNECT" or host not in HOSTS:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with (
            contextlib.suppress(OSError),  # a client may hang up whenever it likes
            self.server.context.wrap_socket(self.connection, server_side=True) as client,
            socket.create_connection(self.server.target) as simulator,
        ):
            _pump(client, simulator)

    def _request(self) -> tuple[str, str]:
        method, _, rest = self.rfile.readline(8192).decode("ascii", "replace").partition(" ")
        while self.rfile.readline(8192).strip():
            pass
        return method, rest.partition(" ")[0].rpartition(":")[0]


def _pump(client: ssl.SSLSocket, simulator: socket.socket) -> None:
    """Passes bytes both ways until one side ends."""
    while True:
        ready = [client] if client.pending() else select.select([client, simulator], [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (simulator if source is client else client).sendall(data)


def _identity(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context that speaks for the hosts, and the file of the authority behind it."""
    now = datetime.now(timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("Rehearsal", HOSTS[0])]

    publics = [key.public_key() for key in keys]

    def certificate(subject: int) -> x509.CertificateBuilder:
        known_by = x509.SubjectKeyIdentifier.from_public_key(publics[subject])
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(publics[0])
        return (
            x509.CertificateBuilder()
            .subject_name(names[subject])
            .issuer_name(names[0])
            .public_key(publics[subject])
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=subject == 0, path_length=None), critical=True)
            .add_extension(known_by, critical=False)
            .add_extension(issued_by, critical=False)
        )

    hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    signing = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = certificate(0).add_extension(signing, critical=True).sign(keys[0], hashes.SHA256())
    own = certificate(1).add_extension(hosts, critical=False).sign(keys[0], hashes.SHA256())
    authority_file, own_file = folder / "authority.pem", folder / "own.pem"
    authority_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    own_file.write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + own.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_file)
    return context, authority_file


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.foreign.carrier", description=__doc__)
    parser.add_argument("address", help="where the simulator listens, http://127.0.0.1:8765")
    with carrying(parser.parse_args().address) as carrier:
        for name, value in carrier.environment.items():
            print(f"export {name}={value}", flush=True)  # noqa: T201 - for the caller's shell
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
