"""What every client of a server has in common: limits of time, retries, fail-over, errors."""

from __future__ import annotations

import asyncio

import pytest
from tenacity import RetryCallState, Retrying

from searchr2 import servers
from searchr2.config import ConfigError
from searchr2.servers import BadReply, Client, Refused, ServerError, Unreachable, json_of, key_in
from tests.servers import Reply, nobody, scripted

GOOD = Reply(b'{"n": 1}')
PAUSES = servers.PAUSES
REMEDY = "look at the setting"


def ask(*urls, read=json_of, key="", deadline=None, times=1, **manners):
    """What comes back when ``times`` requests are made together."""

    async def asked():
        given = {"timeout": 5.0, "retries": 0, "concurrency": 2, **manners}
        async with Client(REMEDY, deadline=deadline, key=key, **given) as client:
            return await client.all_of(client.ask(urls, {"i": i}, read) for i in range(times))

    return asyncio.run(asked())


FAULTS = {
    "500": (Reply(b"oh no", 500), Unreachable, "status 500: 'oh no'"),
    "503": (Reply(b"", 503), Unreachable, "status 503: ''"),
    "408": (Reply(b"", 408), Unreachable, "status 408"),
    "425": (Reply(b"", 425), Unreachable, "status 425"),
    "429": (Reply(b"", 429), Unreachable, "status 429"),
    "nothing": (Reply(silent=True), Unreachable, "Server disconnected"),
    "hangs": (Reply(pause=60), Unreachable, "no answer within 0.5 s"),
    "drips": (Reply(b'{"n": 1}', drip=0.2), Unreachable, "no answer within 0.5 s"),
    "breaks off": (Reply(b'{"n"', announced=99), BadReply, "the answer breaks off"),
    "HTML": (Reply(b"<html>\n  Hi", kind="text/html"), BadReply, "is not JSON: '<html> Hi'"),
    "half a JSON": (Reply(b'{"n": 1'), BadReply, "is not JSON"),
    "no answer": (Reply(b""), BadReply, "is not JSON"),
    "no text": (Reply(b"\xff\xfe"), BadReply, "is not JSON"),
    "a pit of brackets": (Reply(b"[" * 100_000), BadReply, "is not JSON"),
    "too much": (Reply(b"1" * 200), BadReply, "answers more than 100 bytes"),
}


@pytest.fixture(autouse=True)
def quick(no_pauses):
    pass


@pytest.mark.parametrize(("fault", "kind", "said"), FAULTS.values(), ids=FAULTS)
def test_what_may_pass_is_tried_again_and_then_named(monkeypatch, fault, kind, said):
    monkeypatch.setattr(servers, "LIMIT", 100 if said.startswith("answers more") else 1 << 20)
    with scripted(fault, GOOD) as server:
        assert ask(server.url, retries=1, timeout=0.5) == [{"n": 1}]
        assert len(server.requests) == 2
    with scripted(fault) as server, pytest.raises(ServerError) as error:
        ask(server.url, retries=1, timeout=0.5)
    assert error.type is kind
    assert str(error.value).startswith(f"{server.url}: ")
    assert said in str(error.value)
    assert str(error.value).endswith(f"; tried 2 times; {REMEDY}")


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_what_will_not_pass_is_said_at_once(status):
    with scripted(Reply(b"no", status)) as server:
        with pytest.raises(Refused, match=f"status {status}: 'no'; {REMEDY}") as error:
            ask(server.url, retries=5)
        assert len(server.requests) == 1
    assert error.value.status == status


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda raw: json_of(raw)["m"], "KeyError 'm'"),
        (lambda raw: json_of(raw)[0], "KeyError 0"),
        (lambda raw: json_of(raw)["n"] + "", "TypeError"),
        (lambda raw: json_of(raw).m, "AttributeError"),
    ],
)
def test_an_answer_that_lacks_what_is_read_of_it_is_no_answer(read, said):
    with scripted(GOOD) as server, pytest.raises(BadReply, match=f'{server.url}: {said}.*"n": 1'):
        ask(server.url, read=read)


def test_a_readers_own_reason_is_given():
    def read(raw):
        raise ValueError("too few")

    with scripted(GOOD) as server, pytest.raises(BadReply, match=f"{server.url}: too few: "):
        ask(server.url, read=read)


def test_the_next_address_takes_over_before_anything_is_waited_for(monkeypatch):
    monkeypatch.setattr(servers, "PAUSES", lambda state: pytest.fail("it waited"))
    with scripted(Reply(b"", 500)) as ill, scripted(GOOD) as well:
        assert ask(nobody(), ill.url, well.url) == [{"n": 1}]
        assert (len(ill.requests), len(well.requests)) == (1, 1)


def test_an_address_that_failed_is_not_asked_again_while_another_has_not():
    with scripted(Reply(pause=60)) as ill, scripted(GOOD) as well:
        found = ask(ill.url, well.url, times=20, concurrency=1, timeout=3.0)
        assert found == [{"n": 1}] * 20
        assert len(ill.requests) == 1
    with scripted(Reply(b"", 500), GOOD) as one, scripted(Reply(b"", 500)) as two:
        assert ask(one.url, two.url, retries=1) == [{"n": 1}]
        assert (len(one.requests), len(two.requests)) == (2, 1)


def test_where_all_fail_each_is_named_with_its_reason():
    with scripted(Reply(b"<html>")) as one, scripted(Reply(b"", 500)) as two:
        with pytest.raises(BadReply) as error:
            ask(one.url, two.url)
        assert f"{one.url}: answers what is not JSON: '<html>'; {two.url}: " in str(error.value)


def test_a_deadline_ends_all_that_is_under_way_and_says_what_it_waited_for():
    late = r"gave up after 0\.3 s; look"
    busy, slow = scripted(Reply(b"busy", 503)), scripted(Reply(pause=60))
    with busy as server, pytest.raises(Unreachable, match=f"status 503: 'busy'; {late}"):
        ask(server.url, retries=100_000, deadline=0.3, times=4)
    with slow as server, pytest.raises(Unreachable, match=f"^no answer; {late}"):
        ask(server.url, timeout=60, deadline=0.3)


def test_answers_come_in_the_order_of_the_requests_and_one_failure_ends_the_rest():
    with scripted(*(Reply(str(n).encode()) for n in range(3))) as server:
        assert ask(server.url, concurrency=1, times=3) == [0, 1, 2]
    with scripted(GOOD, Reply(b"", 401), GOOD) as server:
        with pytest.raises(Refused):
            ask(server.url, concurrency=1, times=50)
        assert len(server.requests) < 50


def test_the_key_is_repeated_in_no_message():
    with scripted(Reply(b"no such key: s3cret", 401)) as server, pytest.raises(Refused) as error:
        ask(server.url, key="s3cret")
    assert "no such key: ***" in str(error.value)


def test_a_key_that_is_not_set_is_named_with_its_section(monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    assert (key_in("MY_KEY", "engine"), key_in(None, "engine")) == ("s3cret", "")
    monkeypatch.setenv("MY_KEY", "")
    with pytest.raises(ConfigError, match="engine: api_key_env names MY_KEY, which is not set"):
        key_in("MY_KEY", "engine")


def pause(tries):
    state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = tries
    return PAUSES(state)


@pytest.mark.parametrize(("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 15), (50, 15)])
def test_pauses_double_up_to_a_limit_and_no_two_clients_pause_alike(tries, seconds):
    pauses = {pause(tries) for _ in range(50)}
    assert len(pauses) > 40
    assert seconds * 0.5 <= min(pauses) < seconds < max(pauses) <= seconds * 1.5
