"""Where raw input comes from: pretraining text, instructions, rankings."""

import codecs
from typing import Literal

from pydantic import field_validator, model_validator

from configs.schema.strict import Strict, setting

PATH_DOC = (
    "File, glob, or fsspec URI (s3://, gs://, https://, hf://datasets/OWNER/NAME@REVISION/GLOB); `world:NAME` is a "
    "file of the world stage; ${data_root} is replaced."
)
ROLES = ("text", "id", "html", "messages", "instruction", "input", "output", "metadata")


class LimitsConfig(Strict):
    """How much memory and disk a raw file may ask for."""

    row_bytes: int = setting(
        64 << 20, "A longer line, record, page or text file is a malformed row.", unit="bytes", ge=1
    )
    expansion: float = setting(
        200.0, "Stop when a packed file unpacks to more times its size (and to 64 MB).", unit="times", keyed=False, gt=0
    )
    expanded_bytes: int | None = setting(
        None, "Stop when a packed file unpacks to more than this; replaces expansion.", unit="bytes", keyed=False, ge=1
    )


class TextSource(Strict):
    """One source of pretraining documents."""

    name: str = setting(..., "Name of the source, kept in every document.", min_length=1)
    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "arrow", "txt", "lines", "html", "warc"] = (
        setting("auto", "File format; auto looks at the suffix. txt is one document a file, lines one a line.")
    )
    encoding: str = setting("utf-8", "Encoding of text, JSON and CSV; pages declare their own.", unit="codec")
    layout: Literal["text", "alpaca", "messages", "html"] = setting(
        "text", "A row is plain text, a conversation that pretraining sees in chat form, or a page under `html`."
    )
    text_field: str = setting(
        "text", "Column or key that holds the text, dots for a nested one; unused with conversations and pages."
    )
    fields: dict[str, str] = setting(
        {}, "Column or key, dots for a nested one, by what it is: text, id, html, messages, … or a name in metadata."
    )
    metadata: list[str] = setting([], "More columns or keys that are kept as metadata of the documents.")
    extractor: Literal["resiliparse", "trafilatura"] = setting(
        "trafilatura", "What finds the main text of a page: a careful one, or a much faster one."
    )
    limits: LimitsConfig = setting(LimitsConfig(), "Limits on rows and on packed files.")
    language: str = setting("en", "Language tag written to every document.", unit="BCP 47")
    mojibake: bool = setting(False, "Repair text that was once decoded with a wrong encoding (Ã© for é).")
    epochs: float = setting(1.0, "How often the source is seen: 0.5 takes half, 2 repeats.", unit="epochs", gt=0)
    max_documents: int | None = setting(None, "Read at most this many documents.", unit="documents", ge=1)
    near_duplicates: Literal["drop", "keep"] = setting(
        "drop", "Near-duplicate removal; keep is for templated text whose likeness is wanted."
    )
    quality: Literal["drop", "keep"] = setting(
        "drop", "Quality filters of the corpus; keep is for text that they are not made for, such as short answers."
    )
    split: Literal["hash", "train", "heldout"] = setting(
        "hash", "Side the documents go to: by content hash with corpus.heldout as the share, or all to one side."
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError("no such encoding; for example utf-8, utf-16, cp1252, gb18030, shift_jis") from error
        return value

    @model_validator(mode="after")
    def _together(self) -> "TextSource":
        if "text" in self.fields and self.text_field not in ("text", self.fields["text"]):
            raise ValueError(f"text_field={self.text_field} and fields.text={self.fields['text']}: set one of them")
        for name in self.fields:
            if name not in ROLES and name not in self.metadata:
                raise ValueError(
                    f"fields.{name} is used by nothing: it is none of {', '.join(ROLES)}; list it in metadata"
                )
        return self


class InstructionSource(Strict):
    """One source of instructions with answers."""

    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: Literal["auto", "messages", "alpaca"] = setting(
        "auto", "Row layout: `messages`, or Alpaca's instruction, input, output."
    )
    skip_rows: int = setting(0, "Leave out the first rows of the source.", unit="rows", ge=0)
    max_examples: int | None = setting(None, "Take at most this many rows, after a seeded shuffle.", unit="rows", ge=1)


RankingFormat = Literal[
    "auto",
    "own",
    "hh",
    "pairs",
    "pairs-chat",
    "best-first",
    "oasst",
    "alpaca-eval",
    "ultrafeedback",
    "label-studio",
    "argilla",
    "unpaired",
]


class RankingSource(Strict):
    """One source of ranked answers."""

    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: RankingFormat = setting(
        "auto", "Row layout (docs/rankings/formats.md); auto goes by the keys of the first row of a file."
    )
    name: str = setting("", "Where the rankings come from, written to each of them; the file's name when empty.")
    fields: dict[str, str] = setting(
        {}, "Column or key, dots for a nested one, by the name that the layout gives it: prompt, chosen, label, …"
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
