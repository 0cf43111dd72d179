"""PPO stage: rollouts, penalties, advantages, losses, and the loop that puts them together."""
