"""Tokenise and pack beside datasets.map: CPU and wall seconds from Parquet shards to memory-mapped blocks.

    python benchmarks/corpus/tokenize.py --data FOLDER [--megabytes 40] [--repeats 3] [--threads 2] [--json]

FOLDER/pretrain holds real English and Chinese text, FOLDER/models/gpt2_tok GPT-2's vocabulary; a vocabulary of 32,768
is trained on the same text. Both sides read the same shards, put an end token before every document, cut the stream
into blocks of 1,024 and leave them in files that are mapped into memory. datasets runs the same tokenizer (the Rust
object itself, without transformers around it) in `map(batched=True, num_proc=2)`, then a second map that cuts blocks.
Every side is a process of its own; its imports and the loading of the tokenizer are not counted, our check that
tiktoken may be used is. The sides take turns; medians. `identical_ids`: the two streams are equal, id for id.
Last line with --json: {"ratio_datasets": CPU seconds of datasets / ours, the lower of the two vocabularies,
"wall_ratio_datasets", "identical_ids", …}; mb_per_core_*: text encoded a CPU second by each engine alone.
"""

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

FILES = ("classic_books_en", "laws_zh", "peps", "zhwiki_paragraphs", "chinese_poetry", "d2l_zh", "wikitext2_valid")
CONTEXT, SHARD, END = 1024, 2_000, "<|endoftext|>"
PIECE = 40_000  # characters of a document at most, so that shards are many documents


def documents(data: Path, limit: int) -> Iterator[str]:
    """Texts of all files in turn, English and Chinese alike, up to ``limit`` bytes."""
    streams = [_texts(data / "pretrain" / f"{name}.jsonl.gz") for name in FILES]
    size = 0
    while streams:
        for stream in list(streams):
            text = next(stream, None)
            if text is None:
                streams.remove(stream)
                continue
            for start in range(0, len(text), PIECE):
                size += len(text[start : start + PIECE].encode())
                yield text[start : start + PIECE]
                if size >= limit:
                    return


def _texts(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise SystemExit(f"no {path}: give --data FOLDER or set PLUMBLINE_TEST_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text = row.get("text") or row.get("content")
            if isinstance(text, str) and text:
                yield text


def make_tokenizers(data: Path, texts: list[str], folder: Path) -> dict[str, Path]:
    """tokenizer.json of a vocabulary trained on the texts, and of GPT-2's."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from configs.schema.tokenizer import TokenizerConfig
    from tasks.tokenizer import train_bpe

    trained = train_bpe(iter(texts[::3]), TokenizerConfig(vocabulary=32_768), [END])
    names = [str(data / "models" / "gpt2_tok" / name) for name in ("vocab.json", "merges.txt")]
    gpt2 = Tokenizer(models.BPE.from_file(*names))
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    gpt2.add_special_tokens([END])
    paths = {"trained_32k": folder / "trained.json", "gpt2": folder / "gpt2.json"}
    for tokenizer, path in zip((trained, gpt2), paths.values(), strict=True):
        tokenizer.save(str(path))
    return paths


def plumbline(shards: list[Path], tokenizer: Path, out: Path, threads: int) -> dict[str, Any]:
    from transformers import PreTrainedTokenizerFast

    from tasks.pretrain.tokens import token_rows

    wrapped = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), eos_token=END)
    said: list[str] = []
    with Measured() as measured:
        rows = token_rows(out, wrapped, shards, "packed", CONTEXT, threads, said.append)
    return {**measured.values, "said": said, "tokens": len(rows.ids)}


def datasets_map(shards: list[Path], tokenizer: Path, out: Path, threads: int) -> dict[str, Any]:
    import datasets

    @cache
    def opened() -> tuple[Any, int]:
        from tokenizers import Tokenizer

        made = Tokenizer.from_file(str(tokenizer))
        made.encode_special_tokens = True
        return made, made.token_to_id(END)

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        made, end = opened()
        encoded = made.encode_batch_fast(batch["text"], add_special_tokens=False)
        return {"input_ids": [[end, *one.ids] for one in encoded]}

    def block(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        stream = [token for ids in batch["input_ids"] for token in ids]
        return {"input_ids": [stream[start : start + CONTEXT] for start in range(0, len(stream), CONTEXT)]}

    opened()
    datasets.disable_progress_bars()
    with Measured() as measured:
        rows = datasets.Dataset.from_parquet([str(path) for path in shards], cache_dir=str(out), columns=["text"])
        rows = rows.map(encode, batched=True, num_proc=threads, remove_columns=["text"])
        rows = rows.map(block, batched=True, num_proc=threads)
    chunks = rows.data.column("input_ids").chunks
    stream = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks])
    stream.astype(np.uint32).tofile(out / "stream.bin")
    return measured.values


def engines(shards: list[Path], tokenizer: Path, out: Path, threads: int) -> dict[str, Any]:
    """MB of text a CPU second on one thread, encoding alone."""
    from tokenizers import Tokenizer

    from tasks.tokens.encoder import Encoder

    texts = [text for path in shards for text in pq.read_table(path, columns=["text"])["text"].to_pylist()][::8]
    size = sum(len(text.encode()) for text in texts) / 1e6
    made = Tokenizer.from_file(str(tokenizer))
    found: dict[str, Any] = {}
    for name, encoder in (("tiktoken", Encoder(made)), ("tokenizers", Encoder(made, compiled=False))):
        begin = time.process_time()
        for text in texts:
            encoder.encode([text])
        found[name] = size / (time.process_time() - begin)
    return found


SIDES = {"plumbline": plumbline, "datasets": datasets_map, "engines": engines}


class Measured:
    """CPU seconds, those of ended children included, and wall seconds of a block."""

    def __enter__(self) -> "Measured":
        self.values: dict[str, Any] = {}
        self._cpu, self._wall = _cpu(), time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        self.values = {"cpu": _cpu() - self._cpu, "wall": time.monotonic() - self._wall}


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(side: str, folder: Path, tokenizer: Path, out: Path, threads: int) -> dict[str, Any]:
    """One side in a process of its own."""
    out.mkdir(parents=True)
    arguments = [str(item) for item in ("--side", side, folder, tokenizer, out, threads)]
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, __file__, *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(name: str, tokenizer: Path, folder: Path, repeats: int, threads: int, size: float) -> dict[str, Any]:
    """Both sides in turn; prints a table of the medians."""
    runs: dict[str, list[dict[str, Any]]] = {"plumbline": [], "datasets": []}
    identical = True
    for number in range(repeats):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            outs = {side: Path(scratch) / side for side in runs}
            for side, out in outs.items():
                runs[side].append(run(side, folder / "shards", tokenizer, out, threads))
            if number == 0:
                ours = np.fromfile(outs["plumbline"] / "tokens.bin", dtype=np.uint32)
                theirs = np.fromfile(outs["datasets"] / "stream.bin", dtype=np.uint32)
                identical = np.array_equal(ours[:-1], theirs)  # ours also ends the last document
    medians = {side: {key: statistics.median(one[key] for one in ran) for key in ("cpu", "wall")}
               for side, ran in runs.items()}  # fmt: skip
    for side, values in medians.items():
        print(f"{name:12} {side:10} {values['cpu']:8.2f} CPU-s {values['wall']:8.2f} s "
              f"{size / values['cpu']:6.2f} MB a CPU second", flush=True)  # fmt: skip
    speeds = run("engines", folder / "shards", tokenizer, folder / f"engines-{name}", threads)
    print(f"{name:12} encoding alone, MB a CPU second: " + ", ".join(f"{k} {v:.2f}" for k, v in speeds.items()))
    for line in runs["plumbline"][0]["said"]:
        print(f"{name:12} {line}")
    ratios = {
        key: statistics.median(b[key] / a[key] for a, b in zip(runs["plumbline"], runs["datasets"], strict=True))
        for key in ("cpu", "wall")
    }
    print(f"{name:12} datasets / plumbline: CPU {ratios['cpu']:.2f}, wall {ratios['wall']:.2f}; same ids: {identical}")
    return {
        "ratio_datasets": round(ratios["cpu"], 2),
        "wall_ratio_datasets": round(ratios["wall"], 2),
        "identical_ids": bool(identical),
        "tokens": runs["plumbline"][0]["tokens"],
        **{f"mb_per_core_{engine}": round(speed, 2) for engine, speed in speeds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PLUMBLINE_TEST_DATA", "")))
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="threads of ours, processes of datasets")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, folder, tokenizer, out, threads = options.side
        shards = sorted(Path(folder).glob("*.parquet"))
        print(json.dumps(SIDES[side](shards, Path(tokenizer), Path(out), int(threads))))
        return
    from tasks.corpus_shards import write_shards

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        texts = list(documents(options.data, int(options.megabytes * 1e6)))
        size = sum(len(text.encode()) for text in texts) / 1e6
        rows = (
            {"id": str(n), "text": text, "source": "", "language": "", "metadata": {}} for n, text in enumerate(texts)
        )
        write_shards(folder, "train", rows, SHARD)
        (folder / "train").rename(folder / "shards")
        print(f"{len(texts):,} documents, {size:.0f} MB", flush=True)
        results = {
            name: compare(name, path, folder, options.repeats, options.threads, size)
            for name, path in make_tokenizers(options.data, texts, folder).items()
        }
    if options.json:
        worst = {key: min(one[key] for one in results.values()) for key in ("ratio_datasets", "wall_ratio_datasets")}
        same = all(one["identical_ids"] for one in results.values())
        print(json.dumps({**worst, "identical_ids": same, "megabytes": round(size, 1), **results}))


if __name__ == "__main__":
    main()
