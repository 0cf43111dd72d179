"""Decontamination: evaluation sets that training text must not overlap, and what counts as overlap."""

from typing import Literal

from pydantic import model_validator

from configs.schema.sources import PATH_DOC
from configs.schema.strict import Strict, setting


class EvaluationSet(Strict):
    """One evaluation set, and which parts of its rows the corpus is searched for."""

    name: str = setting(..., "Name of the set in reports.", min_length=1)
    path: str = setting(..., PATH_DOC, unit="path", keyed=False)
    format: Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "arrow", "txt", "lines"] = setting(
        "auto", "File format; auto looks at the suffix."
    )
    fields: list[str] = setting(
        ...,
        "Keys or columns of an item's text, the one that identifies it first; choices.text looks inside.",
        min_length=1,
    )
    id_field: str | None = setting(None, "Key or column with the item's id; FILE:LINE when empty.")
    ngram: int | None = setting(
        None, "Words, or characters, an n-gram of this set; those of contamination when empty.", ge=1, le=64
    )


class ContaminationConfig(Strict):
    """Drop documents that hold n-grams of evaluation items; nothing is dropped without sets."""

    sets: list[EvaluationSet] = setting([], "Evaluation sets.")
    ngram: int = setting(13, "Words an n-gram.", unit="words", ge=1, le=64)
    ngram_characters: int = setting(
        18, "The same in scripts without spaces, such as Chinese.", unit="characters", ge=1, le=64
    )
    shortest: int = setting(
        6, "Items shorter than an n-gram are searched for as a whole down to this length.", unit="words", ge=1, le=64
    )
    shortest_characters: int = setting(
        8, "The same in scripts without spaces, such as Chinese.", unit="characters", ge=1, le=64
    )
    min_ngrams: int = setting(1, "Different n-grams of one item that make a document contaminated.", ge=1)
    min_share: float = setting(0.0, "Smallest share of an item's n-grams in the document.", unit="share", ge=0, le=1)
    common: int = setting(
        10, "An n-gram in more items of a set than this is a common phrase and left out.", unit="items", ge=1
    )

    @model_validator(mode="after")
    def _together(self) -> "ContaminationConfig":
        names = [one.name for one in self.sets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"sets: two have the name {twice[0]!r}; each set needs a name of its own")
        for low, high in (("shortest", "ngram"), ("shortest_characters", "ngram_characters")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low}={getattr(self, low)} is more than {high}={getattr(self, high)}: lower it")
        return self
