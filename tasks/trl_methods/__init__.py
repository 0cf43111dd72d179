"""Alignment by TRL's trainers: DPO and KTO on rankings, GRPO and RLOO against the reward model."""
