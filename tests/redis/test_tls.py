"""``rediss://``: the server's certificate is checked, or nothing is sent."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from steward.errors import StoreUnavailable
from steward.ids import IdFactory
from steward.work_stores.redis import open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import RedisServer, shared_server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _tls_before(server: RedisServer, certificate: trustme.LeafCert) -> Iterator[int]:
    """Speak TLS with that certificate on a port before a server that was built without, and yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(one: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(one, server_side=True) as near,
            socket.create_connection(("127.0.0.1", server.port)) as far,
        ):
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()


async def test_work_goes_over_tls(tmp_path: Path, clock: FakeClock) -> None:
    """A whole job over a connection whose certificate comes from an authority that REDIS_URL names."""
    authority, database = trustme.CA(), shared_server().new_database()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    with _tls_before(shared_server(), authority.issue_cert("localhost")) as port:
        url = f"rediss://localhost:{port}/{database}?ssl_ca_certs={trusted}"
        async with open_redis_engine(url, clock=clock, ids=IdFactory(clock), safety="fast") as engine:
            world = World(engine, clock)
            await world.run((await world.submit()).job_ids[0])


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_certificate_that_proves_nothing_is_refused(tmp_path: Path, clock: FakeClock, wrong: str) -> None:
    """Signed by somebody else, or for another host: nothing is sent, and the sentence says that it is the certificate."""
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    (trustme.CA() if wrong == "authority" else authority).cert_pem.write_to_path(trusted)
    certificate = authority.issue_cert("localhost" if wrong == "authority" else "elsewhere.example.org")
    with _tls_before(shared_server(), certificate) as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={trusted}"
        with pytest.raises(StoreUnavailable, match="certificate"):
            async with open_redis_engine(url, clock=clock, ids=IdFactory(clock), safety="fast"):
                pass
