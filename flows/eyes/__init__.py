"""What a run shows in the Prefect UI: summary, lineage, curves, funnel, samples, results. Stages know nothing of it."""
