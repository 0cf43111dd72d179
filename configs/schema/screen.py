"""What is screened out of a corpus: personal data, other languages, offensive and sensitive text."""

from typing import Any, Literal

from pydantic import model_validator

from configs.schema.strict import Strict, setting

PiiAction = Literal["mask", "drop", "keep"]


class PiiConfig(Strict):
    """Personal data by kind: mask it with its kind in brackets, drop the document, or keep it. All are counted."""

    email: PiiAction = setting("mask", "E-mail addresses.")
    phone: PiiAction = setting("mask", "Telephone numbers, international and of phone_region; Chinese in Chinese text.")
    id_card: PiiAction = setting("mask", "Chinese identity card numbers with a right check digit.")
    card: PiiAction = setting("mask", "Credit card numbers: issuer prefix, length and Luhn digit.")
    iban: PiiAction = setting("mask", "Bank accounts: IBAN with right check digits.")
    ip: PiiAction = setting("mask", "Public IP addresses, v4 and v6; private and documentation ranges are left.")
    ssn: PiiAction = setting("mask", "US social security numbers.")
    secret: PiiAction = setting("mask", "Access keys, API tokens, JSON web tokens, private keys.")
    url_credentials: PiiAction = setting("mask", "User and password in a URL.")
    url: PiiAction = setting("keep", "Web addresses.")

    @model_validator(mode="before")
    @classmethod
    def one_word_for_all(cls, values: Any) -> Any:
        """``pii: keep`` sets every kind, except that web addresses stay unless named."""
        if not isinstance(values, str):
            return values
        return {name: values for name in cls.model_fields if name != "url"}


class LanguageConfig(Strict):
    """Detect the language of each document, write it to the document, and drop what is not wanted."""

    keep: list[str] = setting([], "Languages to keep (en, zh); all when empty.", unit="ISO 639-1")
    threshold: float = setting(
        0.5, "Drop a document whose language is less certain than this.", unit="probability", ge=0, le=1
    )


class WordList(Strict):
    """Terms, one a line; a line that starts with # is a comment."""

    name: str = setting(..., "Name in report and reasons (offensive_en).", pattern="^[a-z][a-z0-9_]*$")
    path: str = setting(..., "Text file of terms, UTF-8; ${data_root} is replaced.", unit="path", keyed=False)
    action: Literal["count", "mask", "drop"] = setting("count", "Count hits only, mask each, or drop the document.")
    max_hits: int = setting(0, "With drop: hits that a document may have and stay.", unit="hits", ge=0)


class Classifier(Strict):
    """A classifier that an installed package registers in the entry point group ``plumbline.classifiers``."""

    name: str = setting(..., "Name of the entry point, and of the reason in rejects.", pattern="^[a-z][a-z0-9_]*$")
    version: str = setting(..., "Version of the package that it must come from: it decides what is dropped.")
    action: Literal["count", "drop"] = setting("count", "Count documents at or above the threshold, or drop them.")
    threshold: float = setting(0.5, "Score from which a document counts.", unit="probability", ge=0, le=1)


class ScreenConfig(Strict):
    """Offensive and sensitive text: word lists and classifiers, each with its action."""

    word_lists: list[WordList] = setting([], "Word lists.")
    classifiers: list[Classifier] = setting([], "Classifiers.")

    @model_validator(mode="after")
    def names_differ(self) -> "ScreenConfig":
        """Hits are counted by name."""
        names = [item.name for item in self.word_lists] + [item.name for item in self.classifiers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names of word lists and classifiers must differ: {', '.join(twice)}")
        return self
