"""Our server as the field's clients ask it: their bodies in, what they read out of the answer."""

import json
import threading
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError, URLError

import pytest

from searchr2.retrieval.server import Limits
from searchr2.trajectory import Document
from tests.fakes import DictRetriever
from tests.servers import Slow, serving

PARIS = Document("17", 'Paris "the city"', "Paris is the capital of France.\nIt is large.", 2.5)
LYON = Document("18", "Lyon", "Lyon is a city in France.", 1.25)
NIGER = Document("19", "Niamey", "Niamey is the capital of Niger.", 0.5)
KNOWN: dict[str, Sequence[Document]] = {
    "capital of France": [PARIS, LYON, NIGER],
    "capital of Niger": [NIGER, PARIS],
    "nothing": [],
    "not a number": [Document("20", "Bad", "bad", float("nan"))],
}


class Retriever(DictRetriever):
    def search(self, queries, k):
        if "unsearchable" in queries:
            raise RuntimeError("the index is on fire")
        return super().search(queries, k)


@pytest.fixture(scope="module")
def url():
    with serving(Retriever(KNOWN)) as address:
        yield address


def call(url, data=None, **headers):
    """Status and decoded body; ``data`` is posted as it is, or as JSON."""
    raw = data if isinstance(data, bytes | None) else json.dumps(data).encode()
    request = urllib.request.Request(url, raw, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def ask(url, body, **headers):
    status, text = call(url, body, **headers)
    assert status == 200, text
    return json.loads(text)


def test_search_r1s_client_reads_title_and_text_out_of_each_document(url):
    body = {"queries": ["capital of France", "capital of Niger"], "topk": 3, "return_scores": True}
    shown = []
    for result in ask(url, body)["result"]:
        contents = [item["document"]["contents"] for item in result]
        parts = [(text.split("\n")[0], "\n".join(text.split("\n")[1:])) for text in contents]
        shown.append([f"(Title: {title}) {text}" for title, text in parts])
    assert shown[1] == [
        '(Title: "Niamey") Niamey is the capital of Niger.',
        '(Title: "Paris ""the city""") Paris is the capital of France.\nIt is large.',
    ]
    assert len(shown[0]) == 3


def test_verls_client_is_answered(url):
    body = {"queries": ["capital of Niger"], "topk": 1, "return_scores": True}
    reply = ask(url, body, Accept="application/json")
    [[item]] = reply["result"]
    assert item == {
        "document": {"id": "19", "contents": '"Niamey"\nNiamey is the capital of Niger.'},
        "score": 0.5,
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_slimes_client_reads_contents_without_scores_for_any_number_of_queries(url, count):
    queries = ["capital of Niger", "nothing", "capital of France"][:count]
    results = ask(url, {"queries": queries, "topk": 2, "return_scores": False})["result"]
    titles = [[item["contents"].split("\n", 1)[0] for item in found] for found in results]
    assert (
        titles
        == [['"Niamey"', '"Paris ""the city"""'], [], ['"Paris ""the city"""', '"Lyon"']][:count]
    )


def test_skyrls_single_query_is_a_list_of_one(url):
    assert ask(url, {"query": "nothing"}) == {"result": [[]]}
    assert len(ask(url, {"queries": "capital of France", "topk": 2})["result"][0]) == 2


@pytest.mark.parametrize("body", [{}, {"topk": None}, {"topk": 0}])
def test_without_a_depth_the_servers_own_holds(url, body):
    assert len(ask(url, {"queries": ["capital of France"], **body})["result"][0]) == 3


def test_no_query_gets_no_result(url):
    assert ask(url, {"queries": [], "topk": 3}) == {"result": []}


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"<html>", 422, "Invalid JSON"),
        (b'{"queries": ["half', 422, "Invalid JSON"),
        ([], 422, "an object"),
        ({}, 422, "queries"),
        ({"queries": ["a"], "query": "b"}, 422, "either"),
        ({"queries": [3]}, 422, "queries"),
        ({"queries": ["a"], "topk": "many"}, 422, "topk"),
        ({"queries": ["a"], "topk": -1}, 422, "topk: -1 is not between 1 and 10"),
        ({"queries": ["a"], "topk": 11}, 422, "topk: 11 is not between 1 and 10"),
        ({"queries": ["a"] * 6}, 413, "5 queries"),
        ({"queries": ["a" * 2000]}, 413, "1000 bytes"),
    ],
)
def test_a_request_outside_the_limits_is_refused_with_the_reason(body, status, why):
    with serving(Retriever(KNOWN), limits=Limits(k=10, queries=5, body=1000)) as url:
        found, text = call(url, body)
        assert (found, why in json.loads(text)["error"]) == (status, True), text


@pytest.mark.parametrize("query", ["unsearchable", "not a number"])
def test_a_search_that_fails_is_status_500_and_no_empty_result(url, query):
    status, text = call(url, {"queries": [query], "return_scores": True})
    assert status == 500
    assert "the search failed" in json.loads(text)["error"]


def test_other_methods_and_places_are_refused(url):
    assert call(url)[0] == 405
    assert call(url + "/more", {"queries": []})[0] == 404


def test_health_info_and_metrics(url):
    def get(place):
        return call(url.replace("/retrieve", place))

    ask(url, {"queries": ["capital of France", "nothing"]})
    assert get("/health") == (200, '{"status":"ok"}')
    info = json.loads(get("/info")[1])
    assert info["index"] == {"kind": "test"}
    assert info["k"] == 3
    assert info["limits"]["queries"] == 4096
    status, text = get("/metrics")
    assert status == 200
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert float(figures['searchr2_requests_total{status="200"}']) >= 1
    assert float(figures["searchr2_queries_total"]) >= 2
    assert float(figures["searchr2_waiting_queries"]) == 0
    assert float(figures['searchr2_batch_queries_bucket{le="2.0"}']) >= 1


def test_one_thread_searches_and_what_waits_is_searched_together():
    slow = Slow(Retriever(KNOWN), 0.2)
    with serving(slow) as url, ThreadPoolExecutor(8) as clients:
        bodies = [{"queries": [query], "topk": 2} for query in ["capital of Niger", "nothing"] * 4]
        replies = list(clients.map(lambda body: ask(url, body), bodies))
    assert [len(reply["result"][0]) for reply in replies] == [2, 0] * 4
    assert len(slow.threads) == 1
    assert sum(map(len, slow.batches)) == 8
    assert len(slow.batches) < 8


def test_a_request_that_cannot_be_searched_fails_alone():
    slow = Slow(Retriever(KNOWN), 0.2)
    with serving(slow) as url, ThreadPoolExecutor(4) as clients:
        queries = ["nothing", "unsearchable", "capital of Niger", "nothing"]
        states = list(clients.map(lambda query: call(url, {"queries": [query]})[0], queries))
    assert states == [200, 500, 200, 200]


def test_where_too_much_waits_a_client_is_told_to_come_back():
    release = threading.Event()

    class Stuck(Retriever):
        def search(self, queries, k):
            release.wait(10)
            return super().search(queries, k)

    with (
        serving(Stuck(KNOWN), limits=Limits(batch=1, waiting=2)) as url,
        ThreadPoolExecutor(6) as clients,
    ):
        asked = [clients.submit(call, url, {"queries": ["nothing"]}) for _ in range(6)]
        while not any(one.done() for one in asked):
            pass
        release.set()
        states = sorted(one.result()[0] for one in asked)
    assert states[0] == 200
    assert states[-1] == 503


def test_a_server_that_stops_answers_what_it_was_asked():
    slow = Slow(Retriever(KNOWN), 0.5)
    with ThreadPoolExecutor(1) as clients:
        with serving(slow) as url:
            asked = clients.submit(call, url, {"queries": ["capital of Niger"]})
            while not slow.batches:
                pass
        assert asked.result()[0] == 200
        with pytest.raises(URLError):
            call(url, {"queries": ["nothing"]})
