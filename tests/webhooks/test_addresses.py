"""Where webhooks are not sent: whatever an address is, however it is written, whoever gives it: no connection."""

import datetime as dt
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from qa_service.domain.errors import InvalidInput
from qa_service.webhooks.addresses import PrivateHosts, is_public, private_hosts_of
from qa_service.webhooks.courier import Answer, Courier
from qa_service.webhooks.urls import checked_url
from webhooks.receivers import Receiver, counting, receiving

NOBODY = PrivateHosts()
FORBIDDEN = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *(
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
    ),
    *("192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:93.184.215.14", "64:ff9b::7f00:1"),
    *("64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *(
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ),
)
PUBLIC = ("93.184.215.14", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2400:3200::1")
SPELLINGS = (
    *("http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0177.0.0.1:{port}/", "http://127.1:{port}/"),
    *("http://0x7f.0.0.1:{port}/", "http://127.0.1:{port}/", "http://017700000001:{port}/", "http://0:{port}/"),
    *("http://127.0.0.1.:{port}/", "http://localhost:{port}/", "http://LOCALHOST.:{port}/", "http://[::1]:{port}/"),
    *("http://[::ffff:127.0.0.1]:{port}/", "http://[0:0:0:0:0:ffff:7f00:1]:{port}/", "http://[::127.0.0.1]:{port}/"),
    *(
        "http://１２７.0.0.1:{port}/",
        "http://127。0。0。1:{port}/",
        "http://①②⑦.⓪.⓪.①:{port}/",
        "http://ⓛocalhost:{port}/",
    ),
    *("http://user@127.0.0.1:{port}/", "http://93.184.215.14@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@x.example/"),
    *("http://%31%32%37.0.0.1:{port}/", "http://127.0.0.1%2ecrm.example:{port}/", "http://[::1%25lo]:{port}/"),
    *("http://127.0.0.1:{port}\\@crm.example/", "http:\\\\127.0.0.1:{port}/", "http://00000177.00.00.01:{port}/"),
)


def lookup_of(*answers: tuple[str, ...]) -> tuple[list[str], Any]:
    """A resolver that gives these addresses, one tuple a question, the last one for ever; and what it was asked."""
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        given = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in given
        ]

    return asked, lookup


async def sent(url: str, lookup: Any = None, private: PrivateHosts = NOBODY) -> Answer:
    more = {"lookup": lookup} if lookup else {}
    return await Courier(private, agent="test", timeout_s=2.0, **more).send(url, b"{}", {})


def test_the_tables_are_long_enough() -> None:
    assert len(set(FORBIDDEN)) >= 28
    assert len(set(SPELLINGS)) >= 8


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_an_address_that_is_not_public_is_neither_accepted_nor_connected_to(address: str) -> None:
    assert not is_public(ip_address(address))
    async with counting() as (port, connects):
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/"
        with pytest.raises(InvalidInput) as refused:
            checked_url(url, NOBODY)
        assert refused.value.code == "webhook-url-forbidden"
        answer = await sent(url)
        _, lookup = lookup_of((address,))
        by_name = await sent(f"http://crm.example:{port}/", lookup)
        _, beside = lookup_of(("93.184.215.14", address))
        mixed = await sent(f"http://crm.example:{port}/", beside)
        for one in (answer, by_name, mixed):
            assert one.status is None
            assert "webhooks are sent to public addresses" in one.error
        assert connects == []


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_given_to_somebody_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_this_machine_is_connected_to(spelling: str) -> None:
    async with counting() as (port, connects):
        url = spelling.format(port=port)
        answer = await sent(url)  # by the system's own resolver, should it come to that
        assert answer.status is None
        assert connects == []
        if "LOCALHOST." not in spelling:  # which only the resolver can tell from any other name
            with pytest.raises(InvalidInput):
                checked_url(url, NOBODY)


async def test_a_name_is_looked_up_once_an_attempt_and_what_it_led_to_before_counts_for_nothing() -> None:
    async with counting() as (port, connects):
        asked, lookup = lookup_of(("127.0.0.1",))
        checked_url(f"http://crm.example:{port}/", NOBODY)  # as when the endpoint was made: its name may lead anywhere
        for attempt in range(1, 4):
            answer = await sent(f"http://crm.example:{port}/", lookup)
            assert answer.error
            assert asked == ["crm.example"] * attempt
        assert connects == []


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to() -> None:
    """A resolver that would give another address the second time is not asked a second time."""
    async with receiving() as receiver, counting() as (_, connects):
        asked, lookup = lookup_of(("127.0.0.1",), ("127.0.0.2",))
        named = private_hosts_of(f"crm.example:{receiver.port}")
        answer = await sent(f"http://crm.example:{receiver.port}/x", lookup, named)
        assert answer.is_success, answer
        assert (asked, connects) == (["crm.example"], [])
        assert receiver.got[0].headers["Host"] == f"crm.example:{receiver.port}"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(code: int) -> None:
    async with counting() as (port, connects):

        async def redirect(_: Receiver, request: web.Request) -> web.StreamResponse:
            return web.Response(status=code, headers={"Location": f"http://127.0.0.1:{port}{request.path}"})

        async with receiving(redirect) as receiver:
            answer = await sent(receiver.url, private=private_hosts_of("127.0.0.1"))
        assert (answer.status, answer.is_success, connects) == (code, False, [])


def certificate(folder: Path) -> Path:
    """A certificate of crm.example that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crm.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_tls_names_the_host_and_not_the_address_and_believes_no_unsigned_certificate(tmp_path: Path) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    _, lookup = lookup_of(("127.0.0.1",))
    answer = await sent(f"https://crm.example:{port}/", lookup, private_hosts_of("crm.example"))
    await runner.cleanup()
    assert names == ["crm.example"]
    assert answer.status is None
    assert "ertificate" in answer.error


@pytest.mark.parametrize(
    ("named", "url", "is_allowed"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3:25/", False),
        ("[fd00::1]:8080", "http://[fd00::1]:8080/", True),
        ("fd00::/8", "http://[fd00::2]/", True),
        ("localhost:81", "http://localhost:81/", True),
        ("localhost:81", "http://localhost/", False),
        ("crm.lan", "http://crm.lan:25/", True),
        ("", "http://crm.lan:25/", False),
        ("", "http://crm.lan:0/", False),
        ("", "https://crm.example:8443/a?b=c", True),
        ("", "https://例子.测试/", True),
    ],
)
def test_the_operator_names_private_hosts_and_odd_ports(named: str, url: str, *, is_allowed: bool) -> None:
    if is_allowed:
        assert checked_url(url, private_hosts_of(named)).raw_host
    else:
        with pytest.raises(InvalidInput, match=r"public|port|machine"):
            checked_url(url, private_hosts_of(named))


@pytest.mark.parametrize(
    "text", ["a b", "10.0.0.1/8", "127.0.0.1:0", "127.0.0.1:99999", "http://x", "1.2.3", "[::1", ":80"]
)
def test_a_setting_that_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no host|no port"):
        private_hosts_of(text)


@pytest.mark.parametrize(
    "url",
    [
        *("", "crm.example", "ftp://crm.example/", "file:///etc/passwd", "javascript:alert(1)", "http://", "http:///x"),
        *("//crm.example/", "http://crm..example/", "http://crm.example:99999/", "http://[::1", "http://a b/", "\x00"),
        *(
            "https://crm.example/#top",
            "https://u:p@crm.example/",
            "https://crm.example/\r\nX: y",
            "http://" + "a" * 3000,
        ),
    ],
)
def test_what_is_no_http_url_is_refused_and_says_what_was_expected(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_url(url, NOBODY)
    assert (refused.value.code, refused.value.pointer) == ("webhook-url-invalid", "/url")
