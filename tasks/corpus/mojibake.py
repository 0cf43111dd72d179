"""Repair text that was decoded with a wrong encoding on its way here (Ã© for é), and nothing else.

ftfy's own defaults also straighten quotes, split ligatures and change widths: in clean text that would be damage.
"""

from typing import Any

from ftfy import TextFixerConfig, fix_text
from ftfy.badness import is_bad

ONLY_ENCODING = TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=True,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)


def repair(text: str) -> str:
    """The text with lines that look wrongly decoded repaired; every other line is handed on untouched."""
    if text.isascii() or not is_bad(text):
        return text
    return "\n".join([fix_text(line, ONLY_ENCODING) if is_bad(line) else line for line in text.split("\n")])


def repair_values(value: Any) -> Any:
    """The same plain value with every string in it repaired."""
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, dict):
        return {key: repair_values(item) for key, item in value.items()}
    return [repair_values(item) for item in value] if isinstance(value, list) else value
