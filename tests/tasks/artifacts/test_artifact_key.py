"""Keys: what changes them and what must not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts import SourceEntry, artifact_key
from tasks.failures import BadConfig

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
configs = st.dictionaries(st.text(min_size=1), values, min_size=1, max_size=6)
digests = st.dictionaries(st.text(min_size=1), st.text("0123456789abcdef", min_size=8, max_size=8), max_size=4)


def source(named: str, sha256: str, name: str = "a.jsonl", size: int = 1) -> SourceEntry:
    return SourceEntry(named=named, name=name, size=size, sha256=sha256)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(list(value))}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(configs, digests)
def test_order_of_settings_and_inputs_changes_nothing(config: dict[str, Any], inputs: dict[str, str]) -> None:
    assert artifact_key("s", 1, reordered(config), reordered(inputs), []) == artifact_key("s", 1, config, inputs, [])


def identical(a: Any, b: Any) -> bool:
    """Equal, and of one type all the way down: 1, 1.0 and True are three values."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(identical, a, b))
    return repr(a) == repr(b)


@given(configs, values, st.data())
def test_the_key_changes_exactly_when_a_value_does(config: dict[str, Any], other: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(config)))
    same_key = artifact_key("s", 1, {**config, name: other}, {}, []) == artifact_key("s", 1, config, {}, [])
    assert same_key == identical(config[name], other)


def test_each_part_counts() -> None:
    one = [source("sources.0.path", "aa"), source("sources.0.path", "bb")]
    keys = {
        artifact_key("s", 1, {"a": 1}, {"base": "x"}, one),
        artifact_key("t", 1, {"a": 1}, {"base": "x"}, one),
        artifact_key("s", 2, {"a": 1}, {"base": "x"}, one),
        artifact_key("s", 1, {"a": 2}, {"base": "x"}, one),
        artifact_key("s", 1, {"a": 1}, {"base": "y"}, one),
        artifact_key("s", 1, {"a": 1}, {"corpus": "x"}, one),
        artifact_key("s", 1, {"a": 1}, {"base": "x"}, one[::-1]),
        artifact_key("s", 1, {"a": 1}, {"base": "x"}, one[:1]),
        artifact_key("s", 1, {"a": 1}, {"base": "x"}, [one[0], source("sources.1.path", "bb")]),
    }
    assert len(keys) == 9


def test_moved_data_keeps_its_key_and_a_hub_id_counts_by_name() -> None:
    assert artifact_key("s", 1, {}, {}, [source("p", "aa", "old.txt")]) == artifact_key(
        "s", 1, {}, {}, [source("p", "aa", "new.txt")]
    )
    assert artifact_key("s", 1, {}, {}, [source("base", "", "org/one")]) != artifact_key(
        "s", 1, {}, {}, [source("base", "", "org/two")]
    )


def test_the_order_of_different_settings_changes_nothing() -> None:
    a, b = source("a", "aa"), source("b", "bb")
    assert artifact_key("s", 1, {}, {}, [a, b]) == artifact_key("s", 1, {}, {}, [b, a])


def test_the_key_of_today_stays_the_key_of_tomorrow() -> None:
    """A change here makes every artifact of every user new: do it on purpose only."""
    key = artifact_key("corpus", 1, {"b": [1, 0.5, None], "a": "é"}, {"base": "00"}, [source("p", "aa")])
    assert key == "7703ddbde53cc609e0a5b94e7866e563fa60149504a658c56f76cb88e7cebba3"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, "\ud800"])
def test_what_has_no_canonical_json_is_refused(value: Any) -> None:
    with pytest.raises(BadConfig, match="canonical JSON"):
        artifact_key("s", 1, {"a": value}, {}, [])
