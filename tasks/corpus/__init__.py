"""Corpus stage: raw sources to clean Parquet shards. `build.build_corpus` reads from top to bottom."""
