"""Quality filters over batches of texts: compiled statistics, decisions by numpy; see docs/corpus/filters.md."""
