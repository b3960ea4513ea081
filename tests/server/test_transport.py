"""Transport of calls and headers of answers (protocol §1); start and stop of server processes."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree

from campus import Campus
from conftest import Served, on_postgresql, on_sqlite
from postgresql import PostgresServer
from rollbook.store.database.database import Database
from server_process import run_server


def _code(answer: httpx.Response) -> str | None:
    return etree.fromstring(answer.content).findtext("Errors/Error/ErrorID")


def test_multipart_form_is_accepted(served: Served, campus: Campus) -> None:
    field, file = campus.enroll(2)
    with served.server.client() as client:
        as_field = client.post(served.server.url, files={"Package": (None, campus.package([field]))})
        as_file = client.post(served.server.url, files={"Other": b"x", "Package": ("call.xml", campus.package([file]))})
    assert b"<Result>Success</Result>" in as_field.content
    assert b"<Result>Success</Result>" in as_file.content
    assert campus.queue() == {field: "Pending", file: "Pending"}


def test_path_without_trailing_slash_is_accepted(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    with served.server.client() as client:
        answer = client.post(served.server.url.rstrip("/"), data={"Package": campus.package(ids)})
    assert (answer.status_code, answer.history) == (200, [])
    assert b"<Result>Success</Result>" in answer.content


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_http_methods_other_than_post_are_su_01(served: Served, campus: Campus, method: str) -> None:
    with served.server.client() as client:
        answer = client.request(method, served.server.url, data={"Package": campus.package(campus.enroll(1))})
    assert (answer.status_code, _code(answer)) == (200, "SU:01")
    assert campus.queue() == {}


def test_answers_have_security_headers_and_do_not_name_the_server(served: Served, campus: Campus) -> None:
    package = {"Package": campus.package(campus.enroll(1))}
    with served.server.client() as client:
        answers = [
            client.post(served.server.url, data=package),
            client.post(served.server.url, data=package, headers={"Rollbook-Dry-Run": "perhaps"}),
            client.get(served.server.url),
        ]
        elsewhere = client.get(served.server.url.replace("/apiv2/", "/elsewhere"))
    assert [answer.status_code for answer in (*answers, elsewhere)] == [200, 422, 200, 404]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    for answer in (*answers, elsewhere):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"] == "max-age=60"
        assert "Server" not in answer.headers


def test_call_over_plain_http_is_not_read(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    forged = {"X-Forwarded-Proto": "https"}
    with httpx.Client(trust_env=False) as client:
        for headers in ({}, forged):
            answer = client.post(served.server.http_url, data={"Package": campus.package(ids)}, headers=headers)
            assert (answer.status_code, _code(answer)) == (200, "SU:01")
    assert campus.queue() == {}


def test_trusted_proxy_may_set_the_scheme(served: Served, campus: Campus) -> None:
    ids = campus.enroll(1)
    # The server trusts 127.0.0.2 as a proxy.
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as proxy:
        package = {"Package": campus.package(ids)}
        refused = proxy.post(served.server.http_url, data=package, headers={"X-Forwarded-Proto": "http"})
        accepted = proxy.post(served.server.http_url, data=package, headers={"X-Forwarded-Proto": "https"})
    assert _code(refused) == "SU:01"
    assert b"<Result>Success</Result>" in accepted.content


def test_log_line_of_a_request_id_names_the_wrong_element(served: Served, campus: Campus) -> None:
    package = campus.package(campus.enroll(1)).replace("</Unenrollment>", "<Reason/></Unenrollment>")
    request_id = served.server.post(package).headers["X-Request-ID"]
    line = next(line for line in served.server.log.read_text().splitlines() if request_id in line)
    assert "SmarterU/Parameters/LearningModuleEnrollment/Unenrollment/Reason" in line
    assert campus.name in line


def test_every_wrong_pair_of_keys_has_the_same_answer(served: Served, campus: Campus) -> None:
    other = Campus(served.database)
    good = campus.package(campus.enroll(1))
    wrong = [
        good.replace(campus.account_key, "0" * 64),
        good.replace(campus.owner_key, "0" * 64),
        good.replace(campus.owner_key, other.owner_key),
        good.replace(campus.account_key, other.account_key),
        good.replace(campus.account_key, "").replace(campus.owner_key, ""),
    ]
    answers = [served.server.post(package) for package in wrong]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert _code(answers[0]) == "SU:10"
    assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in answers}) == 1


def test_unexpected_error_is_su_9999_and_its_cause_is_only_in_the_log(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    ids = campus.enroll(1)
    with run_server(database_url, tmp_path, "--no-worker") as server:
        with database.write() as connection:
            connection.execute(sa.text("DROP TABLE batches"))
        answer = server.post(campus.package(ids))
        log = server.log.read_text()
    assert (answer.status_code, _code(answer)) == (200, "SU:9999")
    assert b"batches" not in answer.content
    assert "batches" in next(line for line in log.splitlines() if answer.headers["X-Request-ID"] in line)


@on_postgresql
def test_unreachable_database_is_503_with_retry_after(
    postgresql: PostgresServer, database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    package = campus.package(campus.enroll(1))
    database.close()
    with run_server(database_url, tmp_path, "--no-worker") as server:
        with postgresql.unreachable(database_url):
            answer = server.post(package)
        again = server.post(package)
    assert (answer.status_code, _code(answer)) == (503, "SU:9999")
    assert int(answer.headers["Retry-After"]) > 0
    assert b"<Result>Success</Result>" in again.content


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one_process", "two_processes"])
@on_sqlite
def test_sigterm_answers_calls_in_progress_and_exits_with_0(
    database: Database, database_url: str, tmp_path: Path, options: list[str]
) -> None:
    campus = Campus(database)
    ids = campus.enroll(1)
    answers: list[httpx.Response] = []
    with run_server(database_url, tmp_path, "--no-worker", *options, forked=False) as server:
        # Blocks the call, so that it is in progress when SIGTERM arrives.
        with database.write():
            caller = threading.Thread(target=lambda: answers.append(server.post(campus.package(ids))))
            caller.start()
            time.sleep(0.5)
            server.process.terminate()
            time.sleep(0.5)
        assert server.process.wait(60) == 0
        caller.join()
        with pytest.raises(httpx.ConnectError):
            server.post(campus.package(ids))
    assert b"<Result>Success</Result>" in answers[0].content
    assert campus.queue() == {ids[0]: "Pending"}


@on_sqlite
def test_server_process_that_dies_is_replaced(database: Database, database_url: str, tmp_path: Path) -> None:
    campus = Campus(database)
    with run_server(database_url, tmp_path, "--workers", "2", forked=False) as server:
        children = server.serving()
        assert len(children) == 2
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        server.wait_until_it_answers()
        assert b"<Result>Success</Result>" in server.post(campus.package(campus.enroll(1))).content
        assert server.stop() == 0


@on_sqlite
def test_arriving_body_does_not_delay_the_stop(database: Database, database_url: str, tmp_path: Path) -> None:
    with run_server(database_url, tmp_path) as server:
        address = ("127.0.0.1", server.port)
        raw = socket.create_connection(address, timeout=30)
        with server.tls_context().wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(b"POST /apiv2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nPackage=")
            time.sleep(0.5)
            server.process.terminate()
            answer = tls.recv(65536)
        assert server.process.wait(25) == 0  # ROLLBOOK_BODY_SECONDS is 30
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in answer.lower()
