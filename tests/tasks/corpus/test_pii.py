"""E-mail addresses and phone numbers: found where they are, left alone where they only look so."""

import gzip
import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus.pii import find_pii, mask, mask_messages


def masked(text: str, region: str = "US") -> str:
    return mask(text, find_pii(text, region))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann.lee+x@mail.example.org, please.", "Write to [email], please."),
        ("联系我abc@qq.com谢谢", "联系我[email]谢谢"),
        ("<bo@example.com>", "<[email]>"),
        ("Call (415) 555-0132 today", "Call [phone] today"),
        ("Call 415-555-0132.", "Call [phone]."),
        ("415.555.0132 or +1 415 555 0132", "[phone] or [phone]"),
        ("ring +44 20 7946 0958 now", "ring [phone] now"),
        ("4155550132", "[phone]"),
        ("a@example.com, 415-555-0199, b@example.com", "[email], [phone], [email]"),
    ],
)
def test_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on 2023-01-15 10:30 and 2024-12-31",
        "it cost $1,234,567.89 in all",
        "meet @ the mill, or @bo",
        "version 2.31.4567.1",
        "the host 36.160.14.148 is down",
        "pi is 3.14159265358979",
        "ISBN 978-3-16-148410-0",
        "user@localhost",
    ],
)
def test_left_alone(text: str) -> None:
    assert masked(text) == text


def test_region_decides_about_national_numbers() -> None:
    assert masked("030 123456", "DE") == "[phone]"
    assert masked("030 123456", "US") == "030 123456"


def test_messages_are_masked_and_untouched_metadata_is_the_same_object() -> None:
    def spans_of(text: str) -> list[tuple[int, int, str]]:
        return find_pii(text, "US")

    metadata = {
        "messages": [{"role": "user", "content": "I am bo@example.com"}, {"role": "assistant", "content": "Hi"}]
    }
    clean, counts = mask_messages(metadata, spans_of)
    assert clean["messages"] == [{"role": "user", "content": "I am [email]"}, {"role": "assistant", "content": "Hi"}]
    assert counts == {"email": 1}
    assert metadata["messages"][0]["content"] == "I am bo@example.com"
    same = {"messages": [{"role": "user", "content": "Hi"}], "nats": 1.0}
    assert mask_messages(same, spans_of)[0] is same


@given(st.text(alphabet="ab1@.+-() \n", max_size=80))
def test_masking_leaves_nothing_to_mask_of_addresses_and_keeps_the_rest(text: str) -> None:
    spans = find_pii(text, "US")
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    outside = "".join(
        text[end:start]
        for end, start in zip([0, *(e for _, e, _ in spans)], [*(s for s, _, _ in spans), len(text)], strict=True)
    )
    assert mask(text, spans).replace("[email]", "").replace("[phone]", "") == outside
    assert not any(kind == "email" for *_, kind in find_pii(mask(text, spans), "US"))


@pytest.mark.real
def test_gold_addresses_are_all_found_and_phone_numbers_are_precise() -> None:
    folder = os.environ.get("PLUMBLINE_TEST_DATA")
    path = Path(folder or "absent") / "gold" / "presidio_synth_v2.jsonl.gz"
    if not path.exists():
        pytest.skip("PLUMBLINE_TEST_DATA has no gold/presidio_synth_v2.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found = {"email": [0, 0, 0], "phone": [0, 0, 0]}  # gold, found, false
    for row in rows:
        spans = find_pii(row["full_text"], "US")
        for kind, label in (("email", "EMAIL_ADDRESS"), ("phone", "PHONE_NUMBER")):
            gold = [(s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] == label]
            ours = [(start, end) for start, end, ours_kind in spans if ours_kind == kind]
            found[kind][0] += len(gold)
            found[kind][1] += sum(any(a < y and x < b for x, y in ours) for a, b in gold)
            found[kind][2] += sum(not any(a < y and x < b for a, b in gold) for x, y in ours)
    assert found["email"] == [49, 49, 0]
    assert found["phone"][1] >= 37
    assert found["phone"][2] == 0
