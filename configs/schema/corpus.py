"""Corpus stage: read, normalise, filter, screen, deduplicate, mix."""

from typing import Literal

from pydantic import model_validator

from configs.schema.contamination import ContaminationConfig
from configs.schema.mix import MixConfig
from configs.schema.quality import FilterConfig
from configs.schema.screen import LanguageConfig, PiiConfig, ScreenConfig
from configs.schema.sources import TextSource
from configs.schema.strict import Strict, setting


class EarlierCorpus(Strict):
    """A corpus that was built before, with ``dedup.signatures``."""

    path: str = setting(
        ..., "Its signature files: CORPUS/signatures/*.parquet; ${data_root} is replaced.", unit="path", keyed=False
    )


class DedupConfig(Strict):
    """Exact and MinHash near-duplicate removal. Bands and rows follow from threshold and recall when empty."""

    threshold: float = setting(
        0.7, "Jaccard similarity from which two documents are near duplicates.", unit="share", gt=0, le=1
    )
    recall: float = setting(
        0.99, "Probability that a pair at the threshold is compared.", unit="probability", gt=0, lt=1
    )
    shingle: int = setting(
        5, "Words a shingle; characters in scripts without spaces, such as Chinese.", unit="words", ge=1, le=64
    )
    bands: int | None = setting(None, "Bands of the signature.", unit="bands", ge=1)
    rows: int | None = setting(None, "Rows a band.", unit="rows", ge=1)
    verify: bool = setting(True, "Check candidate pairs by their exact similarity; false takes all of them.")
    survivor: Literal["first", "longest", "best"] = setting(
        "first", "Document of a cluster that stays: the first by source and id, the longest, or the best by quality."
    )
    prefer_source: bool = setting(
        True, "Of a cluster over several sources, a document of the source that is listed first stays."
    )
    signatures: bool = setting(
        False, "Keep signatures beside the corpus, so that a later one can name it in dedup.against."
    )
    sketch: int = setting(
        512, "Shingle hashes stored of a document; longer ones are compared by an estimate.", unit="hashes", ge=16
    )
    against: list[EarlierCorpus] = setting([], "Corpora whose documents, and near duplicates of them, are left out.")
    fold_chinese: bool = setting(
        False, "Take traditional and simplified Chinese for the same, when comparing only; needs OpenCC."
    )

    @model_validator(mode="after")
    def _together(self) -> "DedupConfig":
        if (self.bands is None) != (self.rows is None):
            raise ValueError("bands and rows go together: set both, or neither")
        return self


class TokenCount(Strict):
    """A tokenizer that is there before the corpus: then lengths, shares and the funnel are in its tokens."""

    path: str = setting(..., "Its tokenizer.json; ${data_root} is replaced.", unit="path", keyed=False)


class CorpusConfig(Strict):
    """Pretraining text from its sources to clean Parquet shards."""

    sources: list[TextSource] = setting(..., "Sources of documents.", min_length=1)
    seed: int | None = setting(None, "Seed of split and mix; the recipe's seed when empty.")
    filters: FilterConfig = setting(FilterConfig(), "Quality filters.")
    dedup: DedupConfig = setting(DedupConfig(), "Duplicate removal.")
    contamination: ContaminationConfig = setting(
        ContaminationConfig(), "Evaluation sets that the corpus must not contain."
    )
    language: LanguageConfig | None = setting(None, "Language detection; the source's tag is believed when empty.")
    pii: PiiConfig = setting(PiiConfig(), "Personal data; one word for all: mask, drop, keep.")
    screen: ScreenConfig = setting(ScreenConfig(), "Offensive and sensitive text.")
    phone_region: str = setting("US", "Region that phone numbers without country code belong to.", unit="ISO 3166")
    quality_field: str = setting(
        "score", "Key of the metadata whose number says how good a document is: for survivors and curriculum."
    )
    counted_by: TokenCount | None = setting(None, "Tokenizer that documents are counted with; words when empty.")
    mix: MixConfig | None = setting(None, "Shares of sources and a curriculum; epochs of the sources when empty.")
    heldout: float = setting(0.02, "Share of documents held out, chosen by content hash.", unit="share", gt=0, lt=1)
    split_characters: int | None = setting(
        None, "Split longer documents at paragraph ends into pieces of about this size.", unit="characters", ge=200
    )
    max_malformed: float = setting(0.2, "Stop when a larger share of rows cannot be read.", unit="share", ge=0, le=1)
    min_documents: int = setting(1, "Stop when fewer training documents are left.", unit="documents", ge=1)
    shard_documents: int = setting(50_000, "Documents a Parquet shard at most.", unit="documents", ge=1)
    engine: Literal["local", "ray"] = setting(
        "local", "Where shards are worked on: processes of this machine, or a Ray cluster.", keyed=False
    )
    ray_address: str | None = setting(
        None, "Address of the Ray cluster; empty starts one of this machine.", unit="address", keyed=False
    )
    workers: int | None = setting(
        None, "Processes of the local engine; all cores when empty.", unit="processes", keyed=False, ge=1
    )

    @model_validator(mode="after")
    def _one_way_to_mix(self) -> "CorpusConfig":
        repeated = [source.name for source in self.sources if source.epochs != 1]
        if self.mix is not None and repeated:
            raise ValueError(f"mix and epochs of {repeated[0]!r}: each decides how often it is seen; set one of them")
        return self
