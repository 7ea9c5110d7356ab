"""Whose address counts: the peer's, unless a trusted proxy says whom it speaks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.api.address import UNKNOWN, counted_address, networks_of
from qa_service.domain.errors import SettingsError
from qa_service.settings import load_settings

PROXY, NEARER_PROXY, CALLER = "10.0.0.1", "10.0.0.2", "203.0.113.9"
TRUSTED = networks_of("10.0.0.0/24, 2001:db8:ffff::/48")


def counted(peer: str, *headers: tuple[str, str]) -> str:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return counted_address(peer, raw, TRUSTED)


def listed(value: str) -> tuple[str, str]:
    return ("x-forwarded-for", value)


def forwarded(value: str) -> tuple[str, str]:
    return ("forwarded", value)


@pytest.mark.parametrize(
    ("peer", "group"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", UNKNOWN),
        ("/run/socket", UNKNOWN),
    ],
)
def test_an_address_counts_as_itself_and_an_ipv6_one_as_its_64(peer: str, group: str) -> None:
    assert counted(peer) == group


@pytest.mark.parametrize("header", [listed("192.0.2.1"), forwarded("for=192.0.2.1")])
def test_nobody_but_a_trusted_proxy_is_believed(header: tuple[str, str]) -> None:
    assert counted(CALLER, header) == CALLER
    assert counted(PROXY, header) == "192.0.2.1"
    assert counted(f"::ffff:{PROXY}", header) == "192.0.2.1"
    assert counted_address(PROXY, [(header[0].encode(), header[1].encode())], ()) == PROXY


@pytest.mark.parametrize(
    "header",
    [
        listed("203.0.113.9"),
        listed("203.0.113.9:4711"),
        listed("::ffff:203.0.113.9"),
        listed("[::ffff:203.0.113.9]:80"),
        listed("192.0.2.1, 203.0.113.9, 10.0.0.2"),
        listed("10.0.0.7,192.0.2.1 ,\t203.0.113.9, 10.0.0.2,10.0.0.3"),
        listed("not an address, 203.0.113.9"),
        listed(", " * 500 + "203.0.113.9"),
        forwarded("for=203.0.113.9"),
        forwarded('For="203.0.113.9:80";proto=https;by=10.0.0.1'),
        forwarded("for=192.0.2.1;by=192.0.2.2, by=_x;FOR=203.0.113.9;host=a.example, for=10.0.0.2"),
        forwarded('for="_odd, \\"one", for="[::ffff:203.0.113.9]"'),
    ],
)
def test_the_nearest_hop_that_is_no_proxy_of_ours_counts(header: tuple[str, str]) -> None:
    assert counted(PROXY, header) == CALLER


def test_headers_of_several_lines_are_one_list() -> None:
    assert counted(PROXY, listed("192.0.2.1"), listed(CALLER), listed(NEARER_PROXY)) == CALLER
    assert counted(PROXY, forwarded("for=192.0.2.1"), forwarded(f"for={CALLER}")) == CALLER


def test_where_all_hops_are_proxies_the_farthest_counts() -> None:
    assert counted(PROXY, listed("10.0.0.9, 10.0.0.2")) == "10.0.0.9"


@pytest.mark.parametrize(
    "header",
    [
        *map(listed, ["", " ", "unknown", "203.0.113.9, ", "203.0.113.9, x", "203.0.113.9 192.0.2.1", "1.2.3", "é"]),
        *map(listed, ["203.0.113.09", "[203.0.113.9", "203.0.113.9:", "203.0.113.9:123456", "0x7f.1", "1" * 9000]),
        *map(listed, [", ".join([CALLER, *["10.0.0.2"] * 40])]),
        *map(forwarded, ["", "for", "for=", "for=unknown", "for=_hidden", "for=203.0.113.9,", "proto=https", ";"]),
        *map(forwarded, ["for=[2001:db8::1]", 'for="203.0.113.9', "for=203.0.113.9 by=1.2.3.4", "203.0.113.9"]),
        *map(
            forwarded, ['for=192.0.2.1, for=203.0.113.9;by="x, for=192.0.2.2', f"{'for=1.2.3.4, ' * 300}for={CALLER}"]
        ),
    ],
)
def test_what_cannot_be_read_counts_as_the_peer(header: tuple[str, str]) -> None:
    assert counted(PROXY, header) == PROXY


def test_two_headers_count_only_where_they_agree() -> None:
    assert counted(PROXY, listed(CALLER), forwarded(f"for={CALLER}")) == CALLER
    assert counted(PROXY, listed(CALLER), forwarded("for=192.0.2.1")) == PROXY
    assert counted(PROXY, listed(CALLER), forwarded("nonsense")) == PROXY


HEADER_TEXT = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
    st.text('for=1.2",;[]:\\ _b', max_size=40),
)


@given(sent=HEADER_TEXT, also=st.lists(st.tuples(st.sampled_from(["x-forwarded-for", "forwarded"]), HEADER_TEXT)))
def test_whatever_a_caller_sends_it_counts_as_itself_or_its_proxy(sent: str, also: list[tuple[str, str]]) -> None:
    by_list = counted(PROXY, *also, listed(f"{sent}, {CALLER}" if sent else CALLER))
    quoted, plain = f'for="{CALLER}:80";proto=http', f"for={CALLER}"
    by_element = [counted(PROXY, *also, forwarded(f"{sent}, {mine}" if sent else mine)) for mine in (quoted, plain)]
    by_line = counted(PROXY, *also, forwarded(sent), forwarded(quoted))
    assert {by_list, *by_element, by_line} <= {CALLER, PROXY}
    assert counted(CALLER, *also) == CALLER


def test_a_network_that_is_none_is_a_settings_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.300")
    with pytest.raises(SettingsError, match="QA_TRUSTED_PROXIES"):
        load_settings()
    with pytest.raises(ValueError, match="host bits"):
        networks_of("10.0.0.1/24")
