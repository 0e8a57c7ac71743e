"""How an action is read from what the policy wrote in one turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchr2.tags import ALL_TAGS, STOPS, Action, parse

TEXT = st.text(alphabet=st.characters(exclude_characters="<>"), max_size=20)
TAGGED = st.lists(st.one_of(TEXT, st.sampled_from(ALL_TAGS))).map("".join)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<think> a </think><search> b </search>", Action("search", "b")),
        ("<answer> b </answer>", Action("answer", "b")),
        ("<search>b</search>\n\n", Action("search", "b")),
        ("<search> b c\n</search>", Action("search", "b c")),
        ("<think> <search> a </think><search> b </search>", Action("search", "b")),
        ("<search> a <answer> b </answer>", Action("answer", "b")),
        ("<answer> a <search> b </search>", Action("search", "b")),
        ("<search> a </search><answer> b </answer>", Action("search", "a")),
        ("<answer> a </answer><search> b </search>", Action("answer", "a")),
        ("<answer></answer>", Action("answer", "")),
        ("<search> </search>", Action("none")),
        ("<search> never closed", Action("none")),
        ("never opened </search>", Action("none")),
        ("never opened </answer>", Action("none")),
        ("<search> opened as a search </answer>", Action("none")),
        ("</search><search> too late </search>", Action("none")),
        ("I know nothing.", Action("none")),
        ("", Action("none")),
        ("< search > a </ search >", Action("none")),
        ("<SEARCH> a </SEARCH>", Action("none")),
    ],
)
def test_an_action_stands_before_the_first_closing_tag(text, action):
    assert parse(text) == action


@given(TEXT, st.sampled_from(["search", "answer"]), TEXT.filter(str.strip), TAGGED)
def test_what_follows_the_first_closing_tag_changes_nothing(before, kind, content, after):
    text = f"{before}<{kind}>{content}</{kind}>"
    assert parse(text + after) == parse(text) == Action(kind, content.strip())


@given(TAGGED)
def test_no_content_holds_a_stop_or_its_own_opening_tag(text):
    action = parse(text)
    assert not any(stop in action.content for stop in STOPS)
    assert f"<{action.kind}>" not in action.content


@given(TAGGED)
def test_a_search_has_a_query_and_nothing_else_has_content(text):
    action = parse(text)
    assert bool(action.content) or action.kind != "search"
    assert action.kind != "none" or not action.content
