"""A judging server that fails in every way a server can, on 127.0.0.1."""

import logging
import socket

import pytest
from fakes.chat import serving

from searchr2 import config
from searchr2.judging.http import HttpChat
from searchr2.judging.model import TEMPLATES
from searchr2.prompts import read_templates
from searchr2.servers import BadReply, Refused, Unreachable

KEY = "sk-never-to-be-seen"
pytestmark = pytest.mark.usefixtures("no_pauses")


def chat(url, **settings):
    given = {"kind": "http", "model": "m", "url": url, "timeout": 10.0, "retries": 2, **settings}
    return HttpChat(config.Judge(**given))


def prompts(*texts):
    return [((text, True),) for text in texts]


def echo(prompt):
    return f"you said {prompt}"


@pytest.mark.parametrize("failure", [500, 502, 503, 429, 408, "html", "half", "array", "drop"])
def test_what_may_pass_is_tried_again(failure):
    with serving(echo) as (server, url):
        server.told = [failure, failure]
        assert chat(url).reply(prompts("a")) == ["you said a"]
        assert len(server.requests) == 3


def test_a_server_that_hangs_is_given_up_and_asked_again():
    with serving(echo) as (server, url):
        server.told = ["hang"]
        assert chat(url, timeout=0.5).reply(prompts("a")) == ["you said a"]
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("failure", "kind", "reason"),
    [
        (500, Unreachable, "status 500: .*told to say 500"),
        ("html", BadReply, "answers what is not JSON: '<html>"),
        ("half", BadReply, "answers what is not JSON"),
        ("array", BadReply, "answers what is no chat completion"),
        ("number", BadReply, "answers a chat completion without text"),
        ("drop", Unreachable, "Server disconnected"),
        ("hang", Unreachable, "no answer within 0.3 s"),
    ],
)
def test_what_does_not_pass_stops_with_address_reason_and_remedy(failure, kind, reason):
    with serving(echo) as (server, url):
        server.told = [failure] * 3
        said = rf"{url}/chat/completions: {reason}.* 3 times; look at url.*the same command goes on"
        with pytest.raises(kind, match=said):
            chat(url, timeout=0.3 if failure == "hang" else 10.0).reply(prompts("a"))
        assert len(server.requests) == 3


def test_nobody_at_the_address_is_said_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}.*the same command goes on"):
        chat(f"http://127.0.0.1:{port}/v1").reply(prompts("a"))


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_server_that_will_not_have_us_is_not_asked_twice(status):
    with serving(echo) as (server, url):
        server.told = [status]
        with pytest.raises(Refused, match=f"status {status}.*url, model and api_key_env"):
            chat(url).reply(prompts("a"))
        assert len(server.requests) == 1


def test_one_prompt_that_is_declined_gets_no_reply_and_the_others_do(caplog):
    with serving(echo) as (server, url):
        server.told = [400]
        replies = chat(url, concurrency=1).reply(prompts("a", "b", "c"))
    assert replies == [None, "you said b", "you said c"]
    assert f"1 of 3 prompts declined: {url}/chat/completions: status 400" in caplog.text


def test_a_server_that_declines_all_prompts_is_no_judge():
    with serving(echo) as (server, url):
        server.told = [422, 422]
        with pytest.raises(Refused, match="status 422"):
            chat(url).reply(prompts("a", "b"))


def test_one_failure_for_good_stops_the_whole_batch():
    with serving(echo) as (server, url):
        server.told = [401]
        with pytest.raises(Refused):
            chat(url, concurrency=1).reply(prompts(*map(str, range(50))))
        assert len(server.requests) < 50


def test_replies_come_in_the_order_of_the_prompts_with_so_many_at_a_time():
    with serving(echo) as (server, url):
        texts = [f"prompt {i}" for i in range(40)]
        assert chat(url, concurrency=3).reply(prompts(*texts)) == [echo(text) for text in texts]
        assert 1 <= server.most_at_once <= 3


def test_the_key_goes_into_the_header_and_nowhere_else(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    with serving(lambda prompt: KEY) as (server, url):
        asked = chat(url, api_key_env="MY_KEY")
        asked.reply(prompts("a"))
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
        said = [repr(asked), str(vars(asked.settings)), str(server.requests), caplog.text]
        server.told = ["array"] * 3
        with pytest.raises(BadReply) as error:
            asked.reply(prompts("a"))
    assert not [text for text in [*said, str(error.value)] if KEY in text]


def test_a_server_that_repeats_the_key_in_its_complaint_does_not_get_it_printed(monkeypatch):
    monkeypatch.setenv("MY_KEY", "html")  # what the stand-in for a server answers with
    with serving(echo) as (server, url):
        server.told = ["html"] * 3
        with pytest.raises(BadReply, match=r"<\*\*\*><body>"):
            chat(url, api_key_env="MY_KEY").reply(prompts("a"))


def test_without_a_key_no_header_is_sent():
    with serving(echo) as (server, url):
        chat(url).reply(prompts("a"))
        assert "Authorization" not in server.headers[0]


def test_a_key_that_is_not_set_is_named_before_anything_is_sent(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(config.ConfigError, match="api_key_env names MY_KEY, which is not set"):
        chat("http://127.0.0.1:1/v1", api_key_env="MY_KEY")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kind": "http", "url": "http://x/v1"}, "a judge of kind http needs model"),
        ({"kind": "http"}, "needs url and model"),
        ({"kind": "local"}, "a judge of kind local needs model"),
        ({"url": "http://me:secret@x/v1"}, "url"),
        ({"url": "ftp://x"}, "url"),
        ({"api_key_env": "sk-123"}, "api_key_env"),
    ],
)
def test_a_judge_that_cannot_be_reached_is_refused_with_the_config(settings, reason):
    with pytest.raises(config.ConfigError, match=reason):
        config.load(config.Judge, settings, "config.yaml")


def test_a_missing_template_names_the_setting_it_is_from(tmp_path):
    with pytest.raises(config.ConfigError, match=r"judge.templates: .*judge\.txt does not exist"):
        read_templates(str(tmp_path), TEMPLATES, "judge.templates")
