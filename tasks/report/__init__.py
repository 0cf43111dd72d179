"""Report stage: one self-contained page of what a run learned."""
