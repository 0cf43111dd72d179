"""Engines that sample answers for a policy that changes, behind one small interface (engine.py)."""
