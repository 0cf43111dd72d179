"""Random numbers that depend on a name and not on what was drawn before: a resumed run draws the same."""

import hashlib

import torch


def generator(seed: int, *name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by SHA-256 of the seed and the name, for example (0, "rollout", iteration, process)."""
    text = "/".join(str(part) for part in (seed, *name))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator(device=device).manual_seed(number)


def permutation(count: int, seed: int, *name: str | int) -> list[int]:
    """A permutation of range(count)."""
    return torch.randperm(count, generator=generator(seed, *name)).tolist()


def draw(count: int, cursor: int, size: int, seed: int, name: str = "prompts") -> list[int]:
    """``size`` of ``count`` rows from position ``cursor`` of an endless stream that is reshuffled every epoch."""
    orders = {
        epoch: permutation(count, seed, name, epoch)
        for epoch in range(cursor // count, (cursor + size - 1) // count + 1)
    }
    return [orders[position // count][position % count] for position in range(cursor, cursor + size)]
