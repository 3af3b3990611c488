"""What REDIS_URL can say, and what it cannot."""

import pytest

from steward.redis_address import redis_address


def test_one_server() -> None:
    """Host, port, database and login; the password may hold what is escaped in a URL, and is not shown."""
    address = redis_address("rediss://steward:p%40ss%2Fword@cache.example.org:6380/3?ssl_ca_certs=/etc/ca.pem")
    assert (address.hosts, address.database, address.tls) == ((("cache.example.org", 6380),), 3, True)
    assert (address.username, address.password) == ("steward", "p@ss/word")
    assert address.tls_files == {"ssl_ca_certs": "/etc/ca.pem"}
    assert "p@ss" not in repr(address)
    assert redis_address("redis://localhost").hosts == (("localhost", 6379),)
    assert redis_address("redis://[::1]:7000").hosts == (("::1", 7000),)
    assert redis_address("unix:///run/redis.sock?db=2").socket == "/run/redis.sock"


def test_sentinels() -> None:
    """Several hosts, the name of the service, a login of the servers and one of the Sentinels."""
    text = "redis+sentinel://steward:hush@a.example.org:5000,[::1],c/main/2?sentinel_password=other"
    address = redis_address(text)
    assert address.hosts == (("a.example.org", 5000), ("::1", 26379), ("c", 26379))
    assert (address.service, address.database, address.tls) == ("main", 2, False)
    assert address.sentinel_login == {"password": "other"}
    assert not {"hush", "other"} & set(repr(address).replace("'", " ").split())
    assert redis_address("rediss+sentinel://a/main").tls


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "http://localhost", "redis://", "redis://:x@", "redis://localhost:0", "redis://localhost:x"),
        *("redis://localhost/one", "redis://a,b/0", "redis+sentinel://a,b", "redis+sentinel://a,b/", "unix://"),
        *("redis+sentinel://a,,b/main", "redis+sentinel://a/main/x", "rediss://localhost?ssl_cert_reqs=none"),
        *("redis://localhost?ssl_ca_certs=/x", "redis://localhost?sentinel_password=x", "redis://localhost/0?db=1"),
        *("rediss://localhost?ssl_check_hostname=false", "redis://localhost?protocol=3", "redis://localhost?x"),
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """Nothing is guessed, and no option turns the check of a certificate off."""
    with pytest.raises(ValueError, match=r"^(must look like|has (an option|options) after)"):
        redis_address(text)
