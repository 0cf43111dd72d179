"""What a stage will take before it runs: memory by term, FLOPs by phase, time. Imports no torch but to measure."""
