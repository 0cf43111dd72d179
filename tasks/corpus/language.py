"""Which language a text is in: a fast model for all, a careful one for what the fast one is unsure of."""

import re
from functools import cache
from typing import Any

from configs.schema.screen import LanguageConfig
from tasks.failures import BadConfig

# CLD2 and langid use older and wider tags than BCP 47
ALIASES = {"iw": "he", "in": "id", "jw": "jv", "ji": "yi", "mo": "ro", "no": "nb", "zh-Hant": "zh", "sr-ME": "sr"}
WIDER = {"nb": "no", "nn": "no", "wuu": "zh", "yue": "zh", "lzh": "zh"}  # keep: [no] keeps both written Norwegians
UNKNOWN = "und"
SURE = 90  # per cent of the text that the fast model must see in one language
# CLD2 calls Latin letters English when it knows few of their words; real English scores 1,000 and more a kilobyte
REAL_ENGLISH = 700
SAMPLE, PIECES = 9_000, 3  # characters of a long text that are looked at, from its start, middle and end
# What CLD2 takes for broken UTF-8: controls, lone surrogates, noncharacters
REFUSED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def detect(text: str) -> tuple[str, float]:
    """ISO 639-1 code where there is one (else 639-3, or ``und``), and how certain it is, from 0 to 1.

    Raises BadConfig when the models are not installed.
    """
    sample = _sample(text)
    language, share, reliable = _fast(sample)
    if reliable and share >= SURE:
        return language, share / 100
    language, certainty = _careful().classify(sample)
    # Without a letter of any known language all scores are equal
    return (ALIASES.get(language, language), float(certainty)) if certainty > 0.02 else (UNKNOWN, 0.0)


def unwanted(language: str, certainty: float, config: LanguageConfig) -> bool:
    """Whether a document in this language is dropped."""
    wanted = not config.keep or language in config.keep or WIDER.get(language) in config.keep
    return not wanted or certainty < config.threshold


def _sample(text: str) -> str:
    if len(text) <= SAMPLE:
        return text
    size = SAMPLE // PIECES
    middle = (len(text) - size) // 2
    return f"{text[:size]}\n{text[middle : middle + size]}\n{text[-size:]}"


def _fast(text: str) -> tuple[str, int, bool]:
    """Language, per cent of the text in it, and whether CLD2 (Sites 2013) calls itself reliable."""
    cld2 = _cld2()
    try:
        reliable, _, found = cld2.detect(text.encode("utf-8", "ignore"), bestEffort=True)
    except cld2.error:
        try:
            clean = REFUSED.sub(" ", text).encode("utf-8", "ignore")
            reliable, _, found = cld2.detect(clean, bestEffort=True)
        except cld2.error:
            return UNKNOWN, 0, False
    _, language, share, score = found[0]
    guessed = language == "un" or (language == "en" and score < REAL_ENGLISH)
    return ALIASES.get(language, language), share, reliable and not guessed


@cache
def _cld2() -> Any:
    try:
        import pycld2
    except ImportError as error:
        raise BadConfig(_missing(error)) from error
    return pycld2


@cache
def _careful() -> Any:
    """langid (Lui and Baldwin 2012), retrained; 60 ms to load, so only when needed."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise BadConfig(_missing(error)) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _missing(error: ImportError) -> str:
    return f"corpus.language needs {error.name}, which is not installed: pip install 'plumbline[corpus]'"
