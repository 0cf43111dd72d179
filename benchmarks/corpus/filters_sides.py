"""One system's quality filters over Parquet files of id and text, as a process whose CPU time is measured.

    python filters_sides.py ours|datatrove|same_words INPUT OUTPUT FAMILIES
    python filters_sides.py decide_ours|decide_datatrove|words INPUT OUTPUT [FAMILIES]

FAMILIES: comma-separated. The first three write the documents that stay to Parquet. decide_* write, for each family
alone on the documents as they are, the reason (or "") of each document and the text that C4 leaves. words writes
the words of each document as our kernels split them, which same_words hands to datatrove in place of spaCy's.
"""

import sys
from pathlib import Path
from typing import Any

FAMILIES = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
# The basic filters off, which datatrove has none of
OFF = {"min_characters": 0, "max_characters": 10**9, "min_letters": 0, "max_symbols_per_word": float("inf"),
       "min_mean_word": 0, "max_mean_word": float("inf"), "max_repeated_lines": 1, "max_top_5gram": 1,
       "min_stop_words": 0}  # fmt: skip


def our_config(families: list[str]) -> Any:
    from configs.schema.quality import FilterConfig

    return FilterConfig.model_validate({**OFF, **{family: {} for family in families}})


def ours(source: Path, target: Path, families: list[str]) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.corpus.quality.judge import judge

    config = our_config(families)
    schema = pa.schema([("id", pa.string()), ("text", pa.large_string())])
    with pq.ParquetWriter(target / "kept.parquet", schema, compression="zstd") as writer:
        for path in sorted(source.glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(1000, columns=["id", "text"]):
                texts = batch.column(1).cast(pa.large_string())
                verdict = judge(texts, ["en"] * len(texts), config)
                keep = np.flatnonzero([reason is None for reason in verdict.reasons])
                indices = pa.Array.from_buffers(pa.int64(), len(keep), [None, pa.py_buffer(keep)])
                writer.write_batch(pa.record_batch([batch.column(0).take(indices), verdict.texts.take(indices)],
                                                   schema=schema))  # fmt: skip


def filters(families: list[str]) -> list[Any]:
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    made = {"gopher_quality": GopherQualityFilter, "gopher_repetition": GopherRepetitionFilter,
            "c4": C4QualityFilter, "fineweb": FineWebQualityFilter}  # fmt: skip
    return [made[family]() for family in families]


def datatrove(source: Path, target: Path, families: list[str]) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    LocalPipelineExecutor(
        pipeline=[ParquetReader(str(source)), *filters(families), ParquetWriter(str(target), compression="zstd")],
        tasks=1,
        logging_dir=str(target / "logs"),
    ).run()


def same_words(source: Path, target: Path, families: list[str]) -> None:
    """datatrove with words that are looked up, not split: what is left is its own arithmetic."""
    import pyarrow.parquet as pq
    from datatrove.utils import word_tokenizers

    known: dict[str, list[str]] = {}
    table = pq.read_table(source.parent / "words.parquet")
    for text, words in zip(table["text"], table["words"], strict=True):
        known[text.as_py()] = words.as_py()

    class Given:
        """Words of documents from the table; those of other texts, which C4 has changed, at white space."""

        def word_tokenize(self, text: str) -> list[str]:
            return known.get(text) or text.split()

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            ends = [
                place + 1 for place, character in enumerate(text[:-1]) if character in ".?!" and text[place + 1] == " "
            ]
            return list(zip([0, *ends], [*ends, len(text)], strict=True))

    given = Given()
    word_tokenizers.load_word_tokenizer = lambda language: given
    datatrove(source, target, families)


def words(source: Path, target: Path, families: list[str]) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.corpus.quality.batch import Utf8
    from tasks.corpus.quality.english import split_english

    texts = pa.chunked_array(
        [chunk.cast(pa.large_string()) for path in sorted(source.glob("*.parquet"))
         for chunk in pq.read_table(path, columns=["text"])["text"].chunks]
    ).combine_chunks()  # fmt: skip
    utf8 = Utf8.of(texts)
    batch = utf8.decoded(utf8.characters(), np.ones(len(texts), dtype=bool))
    split = split_english(batch.codes, batch.starts)
    rows = []
    for number, text in enumerate(texts.to_pylist()):
        at, found = 0, []
        for length in split.lengths[split.bounds[number] : split.bounds[number + 1]].tolist():
            while text[at].isspace():
                at += 1
            found.append(text[at : at + length])
            at += length
        rows.append(found)
    pq.write_table(pa.table({"text": texts, "words": rows}), target / "words.parquet")


def decide_ours(source: Path, target: Path, families: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.corpus.quality.judge import judge

    columns: dict[str, list[str]] = {name: [] for name in ("id", *families, "c4_text")}
    for path in sorted(source.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(1000, columns=["id", "text"]):
            columns["id"] += batch.column(0).to_pylist()
            for family in families:
                verdict = judge(batch.column(1).cast(pa.large_string()), ["en"] * len(batch), our_config([family]))
                columns[family] += [(reason or "").removeprefix(f"{family}.") for reason in verdict.reasons]
                if family == "c4":
                    columns["c4_text"] += [
                        text if reason is None else ""
                        for text, reason in zip(verdict.texts.to_pylist(), verdict.reasons, strict=True)
                    ]
    pq.write_table(pa.table(columns), target / "decisions.parquet")


def decide_datatrove(source: Path, target: Path, families: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datatrove.data import Document

    columns: dict[str, list[str]] = {name: [] for name in ("id", *families, "c4_text")}
    made = dict(zip(families, filters(families), strict=True))
    for path in sorted(source.glob("*.parquet")):
        table = pq.read_table(path)
        for id_, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
            columns["id"].append(id_)
            for family, test in made.items():
                document = Document(text=text, id=id_)
                try:
                    result = test.filter(document)
                except Exception as error:
                    result = False, f"error: {error}"
                kept, reason = result if isinstance(result, tuple) else (result, "")
                columns[family].append("" if kept else reason)
                if family == "c4":
                    columns["c4_text"].append(document.text if kept else "")
    pq.write_table(pa.table(columns), target / "decisions.parquet")


def main() -> None:
    side, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    families = sys.argv[4].split(",") if len(sys.argv) > 4 else list(FAMILIES)
    target.mkdir(parents=True, exist_ok=True)
    {"ours": ours, "datatrove": datatrove, "same_words": same_words, "words": words, "decide_ours": decide_ours,
     "decide_datatrove": decide_datatrove}[side](source, target, families)  # fmt: skip


if __name__ == "__main__":
    main()
