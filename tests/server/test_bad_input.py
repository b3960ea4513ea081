"""Bad input over HTTPS: a clear code, nothing queued, and the server keeps serving."""

import socket
import ssl
import time
from urllib.parse import quote_plus

import pytest
from lxml import etree

from campus import Campus
from conftest import Served

CONTENT_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
BILLION_LAUGHS = (
    '<!DOCTYPE SmarterU [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {name} "{f"&{below};" * 10}">' for below, name in zip("abcdefghi", "bcdefghij", strict=True))
    + ']><SmarterU a="&j;">&j;</SmarterU>'
)
EXTERNAL_ENTITY = '<!DOCTYPE SmarterU [<!ENTITY x SYSTEM "file:///etc/passwd">]><SmarterU>&x;</SmarterU>'


def _code(xml: bytes) -> str | None:
    return etree.fromstring(xml).findtext("Errors/Error/ErrorID")


@pytest.mark.parametrize(
    ("name", "package", "code"),
    [
        ("billion laughs", BILLION_LAUGHS, "SU:03"),
        ("external entity", EXTERNAL_ENTITY, "SU:03"),
        ("external document type", '<!DOCTYPE SmarterU SYSTEM "http://127.0.0.1:1/x.dtd"><SmarterU/>', "SU:03"),
        (
            "a document type after a space and a byte order mark",
            ' \ufeff<!DOCTYPE SmarterU [<!ATTLIST a b CDATA "">]><SmarterU/>',
            "SU:03",
        ),
        ("a document type after a byte order mark and a space", "\ufeff \n<!DOCTYPE SmarterU><SmarterU/>", "SU:03"),
        ("nesting 100,000 deep", "<a>" * 100_000 + "</a>" * 100_000, "SU:03"),
        ("invalid UTF-8", b"<SmarterU>\xff\xfe</SmarterU>", "SU:03"),
        ("a NUL byte", b"<SmarterU>\0</SmarterU>", "SU:03"),
        ("UTF-16 with its byte order mark", "<SmarterU/>".encode("utf-16"), "SU:03"),
        ("a megabyte of spaces", " " * 1_000_000, "SU:03"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) and len(value) < 40 else "",
)
def test_package_other_than_plain_xml_is_refused(
    served: Served, campus: Campus, name: str, package: str | bytes, code: str
) -> None:
    raw = package if isinstance(package, bytes) else package.encode()
    started = time.monotonic()
    with served.server.client() as client:
        answer = client.post(
            served.server.url, content=b"Package=" + quote_plus(raw, safe="<>/").encode(), headers=CONTENT_TYPE
        )
    assert (answer.status_code, _code(answer.content)) == (200, code), name
    assert time.monotonic() - started < 30
    assert b"root:" not in answer.content


@pytest.mark.parametrize("identifier", ["1" * 990_000, "0" * 990_000])
def test_identifier_of_a_megabyte_of_digits_is_not_valid(served: Served, campus: Campus, identifier: str) -> None:
    answer = served.server.post(campus.package([identifier]))
    assert _code(answer.content) == "ULM:01"
    assert campus.queue() == {}


def test_body_over_the_limit_is_413(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    package = campus.package(ids) + " " * 10_000_000
    answer = served.server.post(package)
    assert (answer.status_code, _code(answer.content)) == (413, "SU:9999")
    assert campus.queue() == {}


def test_incomplete_body_times_out(served: Served) -> None:
    with _connect(served) as tls:
        tls.sendall(b"POST /apiv2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nPackage=")
        answer = _read_all(tls)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"SU:9999" in answer


def test_connection_lost_during_a_call_queues_nothing(served: Served, campus: Campus) -> None:
    body = b"Package=" + quote_plus(campus.package(campus.enroll(1))).encode()
    head = b"POST /apiv2/ HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n" % (
        b"Content-Type: application/x-www-form-urlencoded",
        len(body),
    )
    with _connect(served) as tls:
        tls.sendall(head + body[:-1])
        raw = tls.detach()
    socket.socket(fileno=raw).close()  # without TLS's close_notify
    time.sleep(0.2)
    assert campus.queue() == {}
    assert served.server.post(campus.package([1])).status_code == 200


def test_truncated_handshake_does_not_affect_the_server(served: Served, campus: Campus) -> None:
    with socket.create_connection(("127.0.0.1", served.server.port)) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert served.server.post(campus.package([2**62])).status_code == 200


@pytest.mark.parametrize("content_type", ["application/json", "text/xml", "multipart/form-data", "multipart/; ;="])
def test_body_other_than_a_form_is_su_02(served: Served, content_type: str) -> None:
    with served.server.client() as client:
        answer = client.post(served.server.url, content=b"Package=%3Ca/%3E", headers={"Content-Type": content_type})
    assert (answer.status_code, _code(answer.content)) == (200, "SU:02")


def test_unreadable_form_is_one_line_of_the_log(served: Served) -> None:
    before = served.server.log.read_text()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with served.server.client() as client:
        answer = client.post(served.server.url, content=b"--y\r\n", headers=headers)
    assert _code(answer.content) == "SU:02"
    lines = served.server.log.read_text().removeprefix(before).splitlines()
    assert len([line for line in lines if "oundary character" in line]) == 1
    assert answer.headers["X-Request-ID"] in lines[-1]


def test_truncated_multipart_form_is_su_02(served: Served) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="Package"\r\n\r\n<SmarterU'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with served.server.client() as client:
        answer = client.post(served.server.url, content=body, headers=headers)
    assert (answer.status_code, _code(answer.content)) == (200, "SU:02")


def _connect(served: Served) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", served.server.port), timeout=30)
    return served.server.tls_context().wrap_socket(raw, server_hostname="localhost")


def _read_all(tls: ssl.SSLSocket) -> bytes:
    received = b""
    while chunk := tls.recv(65536):
        received += chunk
    return received
