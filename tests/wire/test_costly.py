"""Bodies that are made to be expensive are read or refused quickly."""

import time
from contextlib import suppress

import pytest

from rollbook.errors import CallError
from rollbook.model import Extensions
from rollbook.wire.call import read_call
from rollbook.wire.form import read_package

SIZE = 1_048_576
MULTIPART = "multipart/form-data; boundary=x"


def _package(parameters: str) -> bytes:
    keys = "<AccountAPI/><UserAPI/><Method/>"
    return f"Package=<SmarterU>{keys}<Parameters>{parameters}</Parameters></SmarterU>".encode().replace(b"&", b"%26")


def _many(part: str, size: int = SIZE) -> str:
    """Repeat a part, with its number in place of `%d`, up to `size`."""
    count = size // len(part.replace("%d", "10000"))
    return part * count % (tuple(range(count)) if "%d" in part else ())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"Package=<!DOCTYPE a [" + _many('<!ATTLIST a a%d CDATA "">').encode() + b"]><a/>", ""),
        (b"Package=" + _many("<!-- %d -->").encode() + b"<!DOCTYPE a><a/>", ""),
        (b"Package=" + b"<?a?>" * (SIZE // 5), ""),
        (_package("<a " + _many('a%d="" ') + "/>"), ""),
        (_package("<a " + _many('xmlns:n%d="u" ', SIZE // 2) + ">" + _many("<n1:a/>", SIZE // 2) + "</a>"), ""),
        (_package(_many("<a/>")), ""),
        (_package("<a>" + _many("&#%d;", SIZE // 2) + "</a>"), ""),
        (b"%50&" * (SIZE // 4), ""),
        (b"%&" * (SIZE // 2), ""),
        (b"Package==" + b"%" * SIZE, ""),
        (b'--x\r\nContent-Disposition: form-data; name="' + b";" * SIZE, MULTIPART),
        (
            (b'--x\r\nContent-Disposition: form-data; name="' + b";" * 3900 + b"\r\n\r\n\r\n") * (SIZE // 3950),
            MULTIPART,
        ),
        (b"x", 'multipart/form-data; boundary="' + ";" * 60_000),
        (b"Package= %EF%BB%BF<!DOCTYPE a [" + _many('<!ATTLIST a a%d CDATA "">').encode() + b"]><a/>", ""),
        (b"--x\r\na: b\r\n\r\n\r\n" * (SIZE // 14), MULTIPART),
        (b"--x\r\n\r\n" + b"\r\n--" * (SIZE // 4), MULTIPART),
        (b"--x\r\nContent-Disposition: form-data; " + b'a="b";' * (SIZE // 6) + b"\r\n\r\n", MULTIPART),
    ],
    ids=lambda value: "" if isinstance(value, str) else value[:24].decode() + "…",
)
def test_costly_body_is_read_or_refused_quickly(body: bytes, content_type: str) -> None:
    began = time.process_time()
    with suppress(CallError):
        read_call(read_package(body, content_type), Extensions())
    assert time.process_time() - began < 0.5  # 0.1 on an idle machine
