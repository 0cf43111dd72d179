"""Where raw input comes from: pretraining text, instructions, rankings."""

from typing import Literal

from configs.schema.strict import Strict, setting

PATH_DOC = "File or glob; `world:NAME` is a file of the world stage; ${data_root} is replaced."


class TextSource(Strict):
    """One source of pretraining documents."""

    name: str = setting(..., "Name of the source, kept in every document.", min_length=1)
    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: Literal["auto", "jsonl", "txt", "parquet"] = setting("auto", "File format; auto looks at the suffix.")
    layout: Literal["text", "alpaca", "messages"] = setting(
        "text", "A row is plain text, or a conversation that pretraining sees in chat form."
    )
    text_field: str = setting("text", "Column or key that holds the text; unused with conversations.")
    language: str = setting("en", "Language tag written to every document.", unit="BCP 47")
    mojibake: bool = setting(False, "Repair text that was once decoded with a wrong encoding (Ã© for é).")
    epochs: float = setting(1.0, "How often the source is seen: 0.5 takes half, 2 repeats.", unit="epochs", gt=0)
    max_documents: int | None = setting(None, "Read at most this many documents.", unit="documents", ge=1)
    near_duplicates: Literal["drop", "keep"] = setting(
        "drop", "Near-duplicate removal; keep is for templated text whose likeness is wanted."
    )
    split: Literal["hash", "train", "heldout"] = setting(
        "hash", "Side the documents go to: by content hash with corpus.heldout as the share, or all to one side."
    )


class InstructionSource(Strict):
    """One source of instructions with answers."""

    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: Literal["auto", "messages", "alpaca"] = setting(
        "auto", "Row layout: `messages`, or Alpaca's instruction, input, output."
    )
    skip_rows: int = setting(0, "Leave out the first rows of the source.", unit="rows", ge=0)
    max_examples: int | None = setting(None, "Take at most this many rows, after a seeded shuffle.", unit="rows", ge=1)


class RankingSource(Strict):
    """One source of ranked answers."""

    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: Literal["auto", "rankings", "hh", "oasst"] = setting(
        "auto", "Row layout: prompt, candidates, ranks; chosen and rejected transcripts; ranked message trees."
    )
    max_prompts: int | None = setting(
        None, "Take at most this many prompts, after a seeded shuffle.", unit="prompts", ge=1
    )


class PromptSource(Strict):
    """Prompts without answers, held out of every training stage."""

    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    field: str = setting("prompt", "Key that holds the prompt text.")
    skip_rows: int = setting(0, "Leave out the first rows.", unit="rows", ge=0)
    max_prompts: int | None = setting(None, "Take at most this many prompts.", unit="prompts", ge=1)
