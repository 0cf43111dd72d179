"""Pretrain stage: next-token training from scratch or from a given base."""
