from __future__ import annotations

import socket

import httpx
import pytest

import fairlead


def test_the_servers_error_is_readable(client, fake):
    body = {
        "error": 'there is no deployment "x" (deployments are flights)',
        "code": "not_found",
        "hint": "deployments are flights",
    }
    fake.answer("GET", "/api/v1/deployments/x/drift", body, 404)
    with pytest.raises(fairlead.FairleadError) as e:
        client.drift("x")
    assert str(e.value) == body["error"]  # the hint is in the text already
    assert (e.value.code, e.value.hint, e.value.status) == ("not_found", body["hint"], 404)


def test_a_hint_that_is_not_in_the_text_is_added(client, fake):
    fake.answer("POST", "/api/v1/sql", {"error": "cannot DROP", "code": "invalid", "hint": "only SELECT"}, 400)
    with pytest.raises(fairlead.FairleadError, match=r"^cannot DROP \(only SELECT\)$"):
        client.sql("DROP TABLE x")


@pytest.mark.parametrize(
    ("status", "code"), [(400, "invalid"), (409, "conflict"), (413, "too_large"), (418, "invalid"), (500, "internal")]
)
def test_an_answer_of_something_else_keeps_the_status(client, fake, status, code):
    fake.on("POST", "/api/v1/sql", lambda _: httpx.Response(status, text="<html>a proxy</html>"))
    with pytest.raises(fairlead.FairleadError, match=f"POST /api/v1/sql: {status} <html>a proxy") as e:
        client.sql("SELECT 1")
    assert (e.value.code, e.value.status) == (code, status)


def test_not_json(client, fake):
    fake.on("POST", "/api/v1/sql", lambda _: httpx.Response(200, text="hello"))
    with pytest.raises(fairlead.FairleadError, match="is this a fairlead server"):
        client.sql("SELECT 1")


def test_no_server_says_how_to_start_one():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with fairlead.Client(f"127.0.0.1:{port}") as c:
        c._http._sleep = lambda _: None
        with pytest.raises(
            fairlead.FairleadError, match=rf"no fairlead server answers at http://127.0.0.1:{port}.*fairlead serve"
        ) as e:
            c.models()
    assert e.value.code == "unavailable" and e.value.status is None


def test_a_timeout_is_not_tried_again(client, fake):
    def slow(_):
        raise httpx.ReadTimeout("slow")

    fake.on("GET", "/api/v1/models", slow)
    with pytest.raises(fairlead.FairleadError, match="did not answer within 30.0 s") as e:
        client.models()
    assert e.value.code == "deadline" and len(fake.requests) == 1


def test_reading_is_tried_again_and_heeds_retry_after(client, fake):
    waits: list[float] = []
    client._http._sleep = waits.append
    answers = [httpx.Response(200, json=[]), httpx.Response(503), httpx.Response(429, headers={"Retry-After": "1"})]
    fake.on("GET", "/api/v1/alerts", lambda _: answers.pop())
    assert client.alerts().empty
    assert waits == [1.0, 0.4]


def test_it_gives_up_in_the_end(client, fake):
    fake.answer("GET", "/api/v1/alerts", {"error": "draining", "code": "unavailable"}, 503)
    with pytest.raises(fairlead.FairleadError, match="draining"):
        client.alerts()
    assert len(fake.requests) == 4


def test_a_long_retry_after_is_the_callers(client, fake):
    fake.answer("GET", "/api/v1/alerts", {"error": "loading", "code": "unavailable"}, 503, **{"Retry-After": "3600"})
    with pytest.raises(fairlead.FairleadError, match="loading"):
        client.alerts()
    assert len(fake.requests) == 1


def test_queries_are_not_tried_again(client, fake):
    fake.answer("POST", "/api/v1/sql", {"error": "busy", "code": "exhausted"}, 429)
    with pytest.raises(fairlead.FairleadError, match="busy"):
        client.sql("SELECT 1")
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("given", "environment", "want"),
    [
        (None, None, "http://127.0.0.1:8080"),
        (None, "http://models:9000/", "http://models:9000"),
        ("https://models", "http://other", "https://models"),
        ("models:9000", None, "http://models:9000"),
    ],
)
def test_server_address(monkeypatch, given, environment, want):
    monkeypatch.delenv("FAIRLEAD_SERVER", raising=False)
    if environment:
        monkeypatch.setenv("FAIRLEAD_SERVER", environment)
    with fairlead.Client(given) as c:
        assert c.server == want


@pytest.mark.parametrize("address", ["ftp://x", "http://"])
def test_a_bad_address(address):
    with pytest.raises(fairlead.FairleadError, match="not a server address"):
        fairlead.Client(address)


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_deployment_is_a_name(client, name):
    with pytest.raises(fairlead.FairleadError, match="expected a name"):
        client.drift(name)


def test_a_name_stays_one_segment_of_the_path(client, fake):
    with pytest.raises(fairlead.FairleadError):
        client.drift("a/../b")
    assert fake.requests[0].url.raw_path.startswith(b"/api/v1/deployments/a%2F..%2Fb/drift")
