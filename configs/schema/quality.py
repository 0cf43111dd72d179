"""Quality filters of the corpus stage: basic limits, and the families of Gopher, C4 and FineWeb.

Names and defaults of the families are datatrove's (0.10), so that a published recipe can be copied.
"""

from typing import Annotated

from pydantic import Field

from configs.schema.strict import Strict, setting

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=2, le=100)]


class GopherQualityConfig(Strict):
    """Rae et al. 2021, A.1.1. An empty limit is not checked. Without spaces, two characters count as a word."""

    min_doc_words: int | None = setting(50, "gopher_short_doc: fewer words that are no symbols.", unit="words", ge=0)
    max_doc_words: int | None = setting(100_000, "gopher_long_doc: more of them.", unit="words", ge=1)
    min_avg_word_length: float | None = setting(
        3, "gopher_below_avg_threshold: shorter on average.", unit="characters", ge=0
    )
    max_avg_word_length: float | None = setting(
        10, "gopher_above_avg_threshold: longer on average.", unit="characters", gt=0
    )
    max_symbol_word_ratio: float | None = setting(
        0.1, "gopher_too_many_hashes, gopher_too_many_ellipsis: more of # or … a word.", unit="symbols/word", ge=0
    )
    max_bullet_lines_ratio: float | None = setting(
        0.9, "gopher_too_many_bullets: larger share of lines that begin with • or -.", unit="share", ge=0, le=1
    )
    max_ellipsis_lines_ratio: float | None = setting(
        0.3, "gopher_too_many_end_ellipsis: larger share of lines that end with … or three dots.", unit="share",
        ge=0, le=1,
    )  # fmt: skip
    max_non_alpha_words_ratio: float | None = setting(
        0.8, "gopher_below_alpha_threshold: smaller share of words with a letter (the name is datatrove's).",
        unit="share", ge=0, le=1,
    )  # fmt: skip
    min_stop_words: int | None = setting(
        2, "gopher_enough_stop_words: fewer distinct stop words. Not asked where a language has no list.",
        unit="words", ge=0,
    )  # fmt: skip
    stop_words: list[str] | None = setting(
        None, "Stop words of every language; when empty the, be, to, of, and, that, have, with, and lists for zh, ja."
    )


class GopherRepetitionConfig(Strict):
    """Rae et al. 2021, table A1; shares of characters.

    Without spaces, two characters count as a word, and three in ``dup_n_grams``.
    """

    dup_line_frac: float | None = setting(0.3, "dup_line_frac: larger share of repeated lines.", unit="share", ge=0)
    dup_para_frac: float | None = setting(0.3, "dup_para_frac: of repeated paragraphs.", unit="share", ge=0)
    dup_line_char_frac: float | None = setting(0.2, "dup_line_char_frac: characters in them.", unit="share", ge=0)
    dup_para_char_frac: float | None = setting(0.2, "dup_para_char_frac: characters in them.", unit="share", ge=0)
    top_n_grams: list[tuple[Size, Share]] = setting(
        [(2, 0.2), (3, 0.18), (4, 0.16)], "top_N_gram: the commonest run of N words covers a larger share.",
        unit="words, share",
    )  # fmt: skip
    dup_n_grams: list[tuple[Size, Share]] = setting(
        [(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1)],
        "duplicated_N_n_grams: runs of N words that stood before cover a larger share.", unit="words, share",
    )  # fmt: skip


class C4Config(Strict):
    """Raffel et al. 2020, 2.2: lines are removed from the text, then documents with few sentences. -1: not checked."""

    remove_citations: bool = setting(True, "Cut [12], [edit] and [citation needed] out of lines.")
    filter_no_terminal_punct: bool = setting(
        True, "Remove lines that do not end in . ? ! or a quote, or end in three dots."
    )
    min_num_sentences: int = setting(5, "too_few_sentences: fewer in the lines that stay.", unit="sentences", ge=-1)
    min_words_per_line: int = setting(3, "Remove lines with fewer words.", unit="words", ge=-1)
    max_word_length: int = setting(1000, "Remove lines with a longer word.", unit="characters", ge=-1)
    filter_lorem_ipsum: bool = setting(True, "lorem_ipsum: the phrase stands in a line that would stay.")
    filter_javascript: bool = setting(True, "Remove lines that mention javascript.")
    filter_curly_bracket: bool = setting(True, "curly_bracket: one stands in a line that would stay.")
    filter_policy: bool = setting(True, "Remove lines about cookies, terms of use and privacy policies.")


class FineWebConfig(Strict):
    """Penedo et al. 2024, 3.6. Without spaces, a line is short at half as many characters."""

    line_punct_thr: float = setting(
        0.12, "line_punct_ratio: smaller share of lines that end a sentence.", unit="share", ge=0
    )
    line_punct_exclude_zero: bool = setting(False, "Keep documents in which no line ends a sentence.")
    stop_chars: list[Annotated[str, Field(min_length=1, max_length=1)]] | None = setting(
        None, "Characters that end a sentence; datatrove's list of terminal punctuation when empty."
    )
    short_line_thr: float = setting(0.67, "short_line_ratio: larger share of short lines.", unit="share", ge=0)
    short_line_length: int = setting(30, "A line of at most this length is short.", unit="characters", ge=0)
    char_duplicates_ratio: float = setting(
        0.01, "char_dup_ratio: larger share of characters in repeated lines.", unit="share", ge=0
    )
    new_line_ratio: float = setting(0.3, "list_ratio: more line feeds a word.", unit="line feeds/word", ge=0)


class FilterConfig(Strict):
    """Limits of the named quality filters; a document outside a limit is rejected with the filter's name."""

    min_characters: int = setting(40, "too_short: fewer characters than this.", unit="characters", ge=0)
    max_characters: int = setting(5_000_000, "too_long: more characters than this.", unit="characters", ge=1)
    min_letters: float = setting(0.6, "few_letters: smaller share of letters and spaces.", unit="share", ge=0, le=1)
    max_symbols_per_word: float = setting(0.1, "many_symbols: more of # and … a word.", unit="symbols/word", ge=0)
    min_mean_word: float = setting(2.5, "short_words: smaller mean word length.", unit="characters", ge=0)
    max_mean_word: float = setting(12.0, "long_words: larger mean word length.", unit="characters", gt=0)
    max_repeated_lines: float = setting(
        0.4, "repeated_lines: larger share of lines seen before.", unit="share", ge=0, le=1
    )
    max_top_5gram: float = setting(
        0.3, "repeated_phrase: one 5-gram covers a larger share of the words.", unit="share", ge=0, le=1
    )
    min_stop_words: int = setting(2, "few_stop_words: fewer distinct English function words.", unit="words", ge=0)
    max_bullet_lines: float | None = setting(
        None, "many_bullets: larger share of lines that begin with • or -.", unit="share", ge=0, le=1
    )
    min_tokens: int | None = setting(
        None,
        "few_tokens: fewer tokens of corpus.counted_by; without it words, and characters of scripts without spaces.",
        unit="tokens",
        ge=0,
    )
    max_tokens: int | None = setting(None, "many_tokens: more of them.", unit="tokens", ge=1)
    gopher_quality: GopherQualityConfig | None = setting(None, "Gopher's quality rules; {} for the defaults.")
    gopher_repetition: GopherRepetitionConfig | None = setting(None, "Gopher's repetition rules; {} for the defaults.")
    c4: C4Config | None = setting(None, "C4's line rules, which change the text; {} for the defaults.")
    fineweb: FineWebConfig | None = setting(None, "FineWeb's rules; {} for the defaults.")
