"""Whatever a client can write into the form comes out the same, and nothing but the reader's own error comes out."""

from contextlib import suppress
from urllib.parse import urlencode

import httpx
from hypothesis import given
from hypothesis import strategies as st

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


@given(package=st.binary(), other=st.binary())
def test_a_multipart_package_is_read_as_it_was_written(package: bytes, other: bytes) -> None:
    request = httpx.Request("POST", "https://localhost", files={"Other": other, "Package": package})
    assert read_package(request.read(), request.headers["Content-Type"]) == package


@given(body=st.binary(), content_type=st.sampled_from([URLENCODED, "", "multipart/form-data; boundary=x", "text/xml"]))
def test_any_body_at_all_is_read_or_refused(body: bytes, content_type: str) -> None:
    with suppress(CallError):
        read_call(read_package(body, content_type), Extensions())
