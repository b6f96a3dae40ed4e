"""What is read as a URL, and which addresses one may lead to. No network."""

import ipaddress
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from antiphon.fetching.addresses import EVERYWHERE, Reach, is_public, parsed
from antiphon.fetching.resolving import guarded_socket
from antiphon.fetching.urls import Egress, Refused, read

PRIVATE = (
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001:0:808:808::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
)
PUBLIC = (
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2606:4700::1111",
    "2a00::1",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_out_of_reach(address: str) -> None:
    assert not Reach().covers(address)
    with pytest.raises(Refused, match="no public address"):
        Egress().target(f"http://[{address}]/" if ":" in address else f"http://{address}/")


@pytest.mark.parametrize("address", [*PUBLIC, *PRIVATE])
def test_a_reach_without_the_public_ones_covers_what_the_operator_names_alone(address: str) -> None:
    assert not Reach(public=False).covers(address)
    named = Reach.of(["10.0.0.0/8", "8.8.8.0/24"])
    narrow = Reach(named.allowed, public=False)
    assert narrow.covers(address) == named.names(address)
    assert EVERYWHERE.covers(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_within_reach(address: str) -> None:
    assert Reach().covers(address)
    assert Egress().target(f"https://[{address}]/x" if ":" in address else f"https://{address}/x")


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("127.0.0.1"))
def test_every_form_of_an_ipv4_address_is_judged_as_the_address_is_or_refused(
    address: ipaddress.IPv4Address,
) -> None:
    number, public = int(address), is_public(address)
    assert is_public(ipaddress.IPv6Address((0x64FF9B << 96) | number)) == public
    assert Reach().covers(f"::ffff:{address}") == public
    assert not Reach().covers(f"::{address}")
    a, b, c, d = address.packed
    unusual = {
        str(number),
        hex(number),
        f"0{number:o}",
        f"0x{a:x}.{b}.{c}.{d}",
        f"0{a:o}.{b}.{c}.{d}",
        f"{a:04}.{b}.{c}.{d}",
        f"{a}.{b}.{(c << 8) | d}",
        f"{a}.{(b << 16) | (c << 8) | d}",
        f"{address}.",
        f"{a}.{b}.{c}.0x{d:x}",
    }
    for form in unusual:
        with pytest.raises(Refused, match="not written plainly"):
            read(f"http://{form}/")


@given(st.ip_addresses(v=6))
def test_what_python_calls_private_is_never_public_here(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert address.is_global or address in ipaddress.ip_network("64:ff9b::/96")
        assert not address.is_multicast
        assert address.sixtofour is None
        assert address.teredo is None


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_never_public_here_v4(address: ipaddress.IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


DIFFERENT_TO_PARSERS = (
    "http://127.0.0.1#@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http:\\\\127.0.0.1/",
    "http://ex\tample.com/",
    "http://example.com\r\nhost: internal/",
    " http://example.com/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127。0。0。1/",
    "http://ⓛⓞcalhost./",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://2130706433/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://example.com./",
    "http://[::1%25eth0]/",
    "http://[::1%eth0]/",
    "http://[fe80::1%251]/",
    "http://[v1.x]/",
    "http://[::1/",
    "http://[::ffff:127.0.0.1]/",
    "http://[0:0:0:0:0:ffff:7f00:1]/",
    "http://a@b@127.0.0.1/",
    "http://user:secret@example.com/",
    "http://@example.com/",
    "http://foo@evil.com:80@google.com/",
    "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "http:///example.com/",
    "http:example.com/",
    "http:/example.com/",
    "http://ex%61mple.com/",
    "http://localhost%00.example.com/",
    "http://example.com;127.0.0.1/",
    "http://example.com,127.0.0.1/",
    "http://exa mple.com/",
    "http://example..com/",
    "http://.example.com/",
    "http://-example.com/",
    "http://example.com:99999/",
    "http://example.com:0/",
    "http://example.com:80:81/",
    "http://example.com:\uff18\uff10/",
    "http://example.com:+80/",
    "http://example.com:-1/",
    "http://?x",
    "http://",
    "//example.com/",
    "/etc/passwd",
    "",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "jar:http://example.com!/",
    "url:http://127.0.0.1/",
    "https://" + "a" * 300 + ".com/",
    "https://example.com/" + "a" * 9000,
)


@pytest.mark.parametrize("url", DIFFERENT_TO_PARSERS)
def test_what_parsers_read_in_different_ways_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        Egress().target(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (
            "HTTP://EXAMPLE.com/A%2fb?q=%2F&r=a+b",
            "HTTP://EXAMPLE.com/A%2fb?q=%2F&r=a+b",
        ),  # signed URLs stay as signed
        ("https://example.com#part", "https://example.com"),
        ("https://faß.de/ü", "https://xn--fa-hia.de/%C3%BC"),
        ("https://example.com:8443/@x:y@z", "https://example.com:8443/@x:y@z"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
    ],
)
def test_a_url_is_asked_for_as_it_is_written(url: str, asked: str) -> None:
    assert str(Egress().target(url)).lower() == asked.lower()
    assert str(Egress().target(url)).endswith(asked[-5:])


def test_only_ports_of_the_web_are_asked_on_public_addresses() -> None:
    for port in (80, 443, 1024, 8080, 65535):
        Egress().check(["8.8.8.8"], port)
    for port in (22, 25, 110, 587, 1023):
        with pytest.raises(Refused, match=f"port {port}"):
            Egress().check(["8.8.8.8"], port)
    Egress(Reach.of(["10.0.0.0/8"])).check(["10.0.0.1"], 81)
    with pytest.raises(Refused, match="port 81"):
        Egress(Reach.of(["10.0.0.0/8"])).check(["10.0.0.1", "8.8.8.8"], 81)


def test_one_bad_answer_spoils_a_name() -> None:
    with pytest.raises(Refused, match="no public address"):
        Egress().check(["8.8.8.8", "10.0.0.1"], 80)
    with pytest.raises(Refused, match="no public address"):
        Egress().check([], 80)
    with pytest.raises(Refused, match="no public address"):
        Egress().check(["8.8.8.8", "not an address"], 80)


def test_the_operator_names_private_networks() -> None:
    egress = Egress(Reach.of(["127.0.0.0/8", "fd00::/8", "10.0.0.7"]))
    assert egress.target("http://127.0.0.1:81/")
    assert egress.target("http://[::ffff:127.0.0.1]/")
    assert egress.target("http://[fd00::1]/")
    assert egress.target("http://10.0.0.7/")
    for url in ("http://10.0.0.8/", "http://[::1]/", "http://[fe80::1]/", "http://[64:ff9b::7f00:1]/"):
        with pytest.raises(Refused):
            egress.target(url)
    with pytest.raises(ValueError, match="does not appear"):
        Reach.of(["everything"])


def test_a_list_of_hosts_is_all_that_is_asked() -> None:
    egress = Egress(hosts=("Example.com", "*.cdn.example"))
    for url in ("https://example.com/", "https://EXAMPLE.COM/x", "https://a.b.cdn.example/"):
        assert egress.target(url)
    for url in (
        "https://cdn.example/",
        "https://xcdn.example/",
        "https://example.com.evil/",
        "https://8.8.8.8/",
    ):
        with pytest.raises(Refused, match="list"):
            egress.target(url)
    with pytest.raises(Refused, match="no public address"):
        Egress(hosts=("127.0.0.1",)).target("http://127.0.0.1/")


def test_no_socket_is_made_for_an_address_out_of_reach() -> None:
    for family, address in (
        (socket.AF_INET, ("10.0.0.1", 80)),
        (socket.AF_INET6, ("::ffff:10.0.0.1", 80, 0, 0)),
    ):
        with pytest.raises(PermissionError):
            guarded_socket(Egress(), (family, socket.SOCK_STREAM, 6, "", address))
    guarded_socket(Egress(), (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))).close()


@given(st.text(max_size=30))
def test_no_text_is_read_as_an_address_with_a_zone_or_breaks_the_reader(text: str) -> None:
    assert not (parsed(text) and "%" in text)
    for url in (text, f"http://{text}", f"http://{text}/", f"http://example.com{text}"):
        try:
            target = Egress().target(url)
        except Refused:
            continue
        host = target.raw_host or ""
        assert target.user is None
        assert host.isascii()
        assert parsed(host) is None or Reach().covers(host)


def test_https_does_not_become_http_on_the_way() -> None:
    here = URL("https://example.com/a/b")
    assert str(Egress().after(here, "../c?d=%2F")) == "https://example.com/c?d=%2F"
    assert str(Egress().after(here, "//other.example/")) == "https://other.example/"
    with pytest.raises(Refused, match="from https to http"):
        Egress().after(here, "http://example.com/")
