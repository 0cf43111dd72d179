"""Random numbers of the candidates: seeds that depend on the place of an answer and on nothing that ran before."""

import hashlib


def group_seed(seed: int, model: int, group: int) -> int:
    """Of all answers of a group of prompts by one model."""
    return seed * 1_000_003 + group if model == 0 else _hashed(f"{seed}:model {model}:group {group}")


def answer_seed(seed: int, prompt: int, answer: int, again: int = 0) -> int:
    """Of one answer, by the numbers of its prompt and its place among the K; again: how often it was sampled before."""
    return _hashed(f"{seed}:prompt {prompt}:answer {answer}:{again}")


def _hashed(text: str) -> int:
    """48 bits: a million answers have equal seeds with a probability of .2 %, and Parquet and JSON hold them."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def shares(count: int, parts: list[float]) -> list[int]:
    """``count`` answers among models by their parts: largest remainders, and at least one each."""
    whole = sum(parts)
    exact = [count * part / whole for part in parts]
    found = [max(int(value), 1) for value in exact]
    while sum(found) > count:
        able = [index for index, value in enumerate(found) if value > 1]
        found[max(able, key=lambda index: found[index] - exact[index])] -= 1
    order = sorted(range(len(parts)), key=lambda index: (found[index] - exact[index], index))
    for index in order[: count - sum(found)]:
        found[index] += 1
    return found
