"""Our client against servers that answer as the field's do, and against all that goes wrong."""

import json
import time

import pytest

from searchr2.cli.main import main
from searchr2.config import ConfigError, Remote
from searchr2.files import ArtifactError
from searchr2.retrieval import bm25, client
from searchr2.retrieval.client import Http
from searchr2.servers import BadReply, Refused, ServerError, Unreachable
from searchr2.trajectory import Document
from tests.servers import Reply, nobody, scripted

pytestmark = pytest.mark.usefixtures("no_pauses")


def http(*urls, timeout_s=5.0, deadline_s=10.0, retries=0):
    settings = Remote(urls=list(urls), timeout_s=timeout_s, deadline_s=deadline_s, retries=retries)
    return Http(settings)


def reply(*results, **how):
    return Reply(json.dumps({"result": results}).encode(), **how)


def item(name, score=1.0, **document):
    document = document or {"id": name, "contents": f'"{name.title()}"\nabout {name}'}
    return {"document": document, "score": score}


def test_the_request_is_the_fields():
    with scripted(reply([item("cat")], [])) as server:
        found = http(server.url).search(["a cat", "nothing"], 2)
    assert server.requests == [{"queries": ["a cat", "nothing"], "topk": 2, "return_scores": True}]
    assert found == [(Document("cat", "Cat", "about cat", 1.0),), ()]


def test_search_r1s_dense_server_and_its_bm25_server_are_understood():
    dense = item("cat", 0.75)
    words = item("", 12.5, title="Dog", text="about dogs", contents='"Dog"\nabout dogs')
    plain = item("", 3, title="Bird", text="about birds")
    with scripted(reply([dense, words, plain])) as server:
        [found] = http(server.url).search(["?"], 3)
    assert [(d.title, d.text, d.score) for d in found] == [
        ("Cat", "about cat", 0.75),
        ("Dog", "about dogs", 12.5),
        ("Bird", "about birds", 3.0),
    ]
    assert found[0].id == "cat"
    assert len({d.id for d in found}) == 3, "passages without an id get one from what they hold"


def test_more_passages_than_asked_for_are_cut():
    with scripted(reply([item("cat"), item("dog")])) as server:
        [found] = http(server.url).search(["?"], 1)
    assert [d.id for d in found] == ["cat"]


GOOD = reply([item("cat")])
PASSING = {
    "status 500": Reply(b"Internal Server Error", 500, "text/plain"),
    "status 503": Reply(b"busy", 503),
    "status 429": Reply(b"slow down", 429),
    "nothing": Reply(silent=True),
    "HTML": Reply(b"<html>It works!</html>", kind="text/html"),
    "half a JSON": Reply(GOOD.body[:30]),
    "an answer that breaks off": Reply(GOOD.body[:30], announced=len(GOOD.body)),
    "too few results": reply(),
    "NaN": reply([item("cat", float("nan"))]),
}


@pytest.mark.parametrize("first", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_tried_again(first):
    with scripted(first, first, GOOD) as server:
        [found] = http(server.url, retries=2).search(["?"], 3)
    assert [d.id for d in found] == ["cat"]
    assert len(server.requests) == 3


BROKEN = {
    "status 500": (PASSING["status 500"], Unreachable, "status 500: 'Internal Server Error'"),
    "nothing": (PASSING["nothing"], Unreachable, "Server disconnected"),
    "HTML": (PASSING["HTML"], BadReply, "not JSON: '<html>It works!"),
    "half a JSON": (PASSING["half a JSON"], BadReply, "not JSON"),
    "breaks off": (PASSING["an answer that breaks off"], BadReply, "the answer breaks off"),
    "too few": (PASSING["too few results"], BadReply, "0 results to 1 queries"),
    "too many": (reply([], []), BadReply, "2 results to 1 queries"),
    "NaN": (PASSING["NaN"], BadReply, "the score is nan"),
    "infinite": (reply([item("cat", float("inf"))]), BadReply, "the score is inf"),
    "a number past all": (reply([item("cat", 10**400)]), BadReply, "OverflowError"),
    "a score in words": (reply([item("cat", "high")]), BadReply, "the score is 'high'"),
    "true for a score": (reply([item("cat", True)]), BadReply, "the score is True"),
    "no score": (reply([{"document": {"id": "1", "contents": "x"}}]), BadReply, "KeyError 'score'"),
    "no document": (reply([{"id": "1", "contents": "x"}]), BadReply, "KeyError 'document'"),
    "flat": (reply(item("cat")), BadReply, "a result is not"),
    "empty contents": (reply([item("", id="1", contents=" ")]), BadReply, "contents are empty"),
    "no contents": (reply([item("", id="1")]), BadReply, "KeyError 'title'"),
    "a number for contents": (reply([item("", id="1", contents=3)]), BadReply, "a result is not"),
    "a number": (reply(3), BadReply, "a result is not"),
    "a list": (Reply(b"[]"), BadReply, "without a list of results"),
    "an error as 200": (Reply(b'{"error": "no"}'), BadReply, "without a list of results"),
    "not found": (
        Reply(b"no", 404),
        Refused,
        "status 404: 'no'; does a retrieval server run there",
    ),
    "refused": (Reply(b"topk", 422), Refused, "status 422"),
    "moved": (Reply(b"", 302), Refused, "status 302"),
}


@pytest.mark.parametrize(("broken", "kind", "said"), BROKEN.values(), ids=BROKEN)
def test_what_goes_wrong_is_an_error_that_names_address_and_reason(broken, kind, said):
    with scripted(broken) as server, pytest.raises(ServerError) as error:
        http(server.url).search(["?"], 3)
    assert error.type is kind
    assert str(error.value).startswith(f"{server.url}: ")
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["not found", "refused", "moved"])
def test_what_will_not_pass_is_said_at_once(name):
    with scripted(BROKEN[name][0]) as server, pytest.raises(Refused):
        http(server.url, retries=5).search(["?"], 3)
    assert len(server.requests) == 1


def test_where_nobody_listens_the_remedy_is_named():
    with pytest.raises(
        Unreachable, match=r"tried 2 times; .*`searchr2 serve`.*correct retrieval\.urls"
    ):
        http(nobody(), retries=1).search(["?"], 3)


@pytest.mark.parametrize("late", [Reply(pause=60), Reply(GOOD.body, drip=1.0)], ids=["", "drip"])
def test_a_request_has_a_time_limit(late):
    with scripted(late) as server, pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        http(server.url, timeout_s=0.2).search(["?"], 3)


def test_a_search_has_a_deadline_whatever_is_tried_again():
    began = time.monotonic()
    busy = PASSING["status 503"]
    with (
        scripted(busy) as server,
        pytest.raises(Unreachable, match=r"status 503: 'busy'; gave up after 0\.3 s"),
    ):
        http(server.url, deadline_s=0.3, retries=1000).search(["?"], 3)
    assert time.monotonic() - began < 5


def test_another_address_takes_over():
    with scripted(PASSING["status 500"]) as ill, scripted(GOOD) as well:
        [found] = http(nobody(), ill.url, well.url).search(["?"], 3)
    assert [d.id for d in found] == ["cat"]


def test_where_all_fail_each_address_is_named_with_its_reason():
    with scripted(PASSING["HTML"]) as one, scripted(PASSING["status 500"]) as two:
        with pytest.raises(BadReply) as error:
            http(one.url, two.url).search(["?"], 3)
        assert f"{one.url}: answers what is not JSON" in str(error.value)
        assert f"{two.url}: status 500" in str(error.value)


def test_many_queries_go_out_in_parts_and_come_back_in_order(monkeypatch):
    monkeypatch.setattr(client, "PART", 1)
    with scripted(reply([item("cat")])) as one, scripted(reply([item("dog")])) as two:
        found = http(one.url, two.url).search(["a", "b", "c", "d", "e"], 3)
        assert sorted(r["queries"] for r in one.requests) == [["a"], ["c"], ["e"]]
        assert sorted(r["queries"] for r in two.requests) == [["b"], ["d"]]
    assert [d.id for (d,) in found] == ["cat", "dog", "cat", "dog", "cat"]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host/retrieve", "http://", "retrieve"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError, match=r"retrieval\.urls"):
        http(url)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="a password in an address") as error:
        http("http://me:secret@host/retrieve")
    assert "secret" not in str(error.value)


def test_an_address_without_a_path_gets_the_fields():
    assert http("http://host:8000", "http://host:8000/", "https://host/search").urls == [
        "http://host:8000/retrieve",
        "http://host:8000/retrieve",
        "https://host/search",
    ]


def test_an_index_that_is_addresses_is_written_and_asked_by_the_commands(tmp_path, capsys):
    out = str(tmp_path / "task")
    with scripted(GOOD) as server:
        options = ["--urls", server.url, "--retries", "0"]
        assert main(["index", "--kind", "http", *options, "--out", out]) == 0
        assert main(["search", "--index", out, "a cat"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["title"] == "Cat"
    assert main(["search", "--index", out, "a cat"]) == 2
    assert f"searchr2 search: {server.url}: " in capsys.readouterr().err
    manifest = tmp_path / "task" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("http:", "https:"))
    with pytest.raises(ArtifactError, match=r"own digest.*index_task"):
        Http.load(tmp_path / "task")


def test_addresses_take_the_place_of_an_index_that_was_there(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "p", "contents": "some text"}')
    bm25.build(tmp_path / "task", corpus, 1.5, 0.75)
    client.write(tmp_path / "task", Remote(urls=["http://host"]))
    assert [path.name for path in (tmp_path / "task").iterdir()] == ["manifest.json"]
    bm25.build(tmp_path / "task", corpus, 1.5, 0.75)
    assert len(bm25.Bm25.load(tmp_path / "task")) == 1


def test_an_index_of_no_address_is_refused(tmp_path, capsys):
    assert main(["index", "--kind", "http", "--out", str(tmp_path / "i")]) == 2
    assert "retrieval.urls" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()
