"""Finetune stage: a LoRA adapter fitted to instructions."""
