"""Every form is read as a client wrote it, or ends with the reader's own error."""

from contextlib import suppress
from urllib.parse import unquote_to_bytes, urlencode

import httpx
from hypothesis import given
from hypothesis import strategies as st

from rollbook.client.transport import write_form
from rollbook.errors import CallError
from rollbook.model import Extensions
from rollbook.wire.call import read_call
from rollbook.wire.form import read_package

URLENCODED = "application/x-www-form-urlencoded"
fields = st.lists(st.tuples(st.text().filter(lambda name: name != "Package"), st.text()), max_size=3)


@given(package=st.text(), before=fields, after=fields)
def test_an_urlencoded_package_is_read_as_it_was_written(
    package: str, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    body = urlencode([*before, ("Package", package), *after]).encode()
    assert read_package(body, URLENCODED) == package.encode()


@given(package=st.text(st.characters(exclude_categories=["Cs"])) | st.text("<a >/%+&=;\n"))
def test_client_escapes_a_package_like_the_standard_library(package: str) -> None:
    assert write_form(package) == urlencode({"Package": package}).encode()


@given(
    text=st.lists(st.sampled_from(["%", "=", "+", "\n", "\r", "%3C", "%3c", "3", "C", "x", "<", " ", "_"])).map("".join)
)
def test_complete_and_broken_escapes_are_decoded_like_the_standard_library(text: str) -> None:
    assert read_package(f"Package={text}".encode(), URLENCODED) == unquote_to_bytes(text.replace("+", " "))


@given(package=st.binary(), other=st.binary())
def test_a_multipart_package_is_read_as_it_was_written(package: bytes, other: bytes) -> None:
    request = httpx.Request("POST", "https://localhost", files={"Other": other, "Package": package})
    assert read_package(request.read(), request.headers["Content-Type"]) == package


@given(body=st.binary(), content_type=st.sampled_from([URLENCODED, "", "multipart/form-data; boundary=x", "text/xml"]))
def test_any_body_is_read_or_refused(body: bytes, content_type: str) -> None:
    with suppress(CallError):
        read_call(read_package(body, content_type), Extensions())
