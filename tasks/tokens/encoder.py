"""Plain texts as arrays of ids, by the fastest way that is known to give the tokenizer's own ids."""

from collections.abc import Callable, Sequence

import numpy as np
import tokenizers

from tasks.tokens.byte_pairs import NotCovered, tiktoken_encoding

# What engines are known to differ in: case folding, blanks of all kinds, digits outside ASCII, marks, joiners, special
# tokens as text, long runs. Encoded both ways before tiktoken is believed.
PROBES = (
    "I'll we'Ve it'S 'ſ 'ſt she'd've ''s 'RE 'tis",
    "a  b\t\tc \u00a0 d\u2003\u3000e\u0085f\u2028g\u200bh\ufeffi\x0bj\x0ck\x1cl\x00m",
    "line\r\n\r\n  next \r line\n\n\n   \n last   ",
    "1 12 123 1234 12345678 3.14159 1,000,000 ٣٤٥ ５６７８ Ⅻ ½ x² 百二十 1a2b3c",
    "e\u0301a\u0308\u0323 क्षि ﷺ ß ẞ ŉ İı ǅ 각",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f3fd \U0001f1e8\U0001f1f3",
    "老磨坊在河边。他说：“你好！”……（第１２章）【注】３％、ア゙ｱﾞ",
    "<|endoftext|><|im_start|>user\n<|im_end|> <s></s> [INST] <unk> <|pad|>",
    "https://example.org/a?b=c&d=e#f user@example.org #include <x.h>\n\tif (a != b) { return -1; } // ***!!!???\n",
    " ", "\n", "  \n", "", "x" * 3000, " " * 3000, "ab" * 1500 + " ", "!" * 1500 + "\n" * 1500, "好" * 1500,
    "\U00010000\U0001e900\U000e0001\U000f0000\U0010ffff\ufdd0\uffff\ue000\u0378\U00030000",
)  # fmt: skip


class Encoder:
    """Ids of texts; nothing is added, and the text of a special token is only text. For use by many threads.

    reason: why ``tokenizers`` does the work, None when tiktoken does.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, sample: Sequence[str] = (), compiled: bool = True) -> None:
        """``sample``: texts on which the ids of both ways are compared first, beside `PROBES`; ``compiled=False``
        leaves tiktoken out."""
        own = tokenizers.Tokenizer.from_str(tokenizer.to_str())  # settings of a shared one are not touched
        own.encode_special_tokens = True
        own.no_padding()
        own.no_truncation()
        self._own = own
        self._fast: Callable[[str], np.ndarray] | None = None
        self.reason: str | None = "asked to"
        if compiled:
            self._try_tiktoken([*PROBES, *sample])

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """uint32 ids of each text."""
        if self._fast is None:
            return self._slow(texts)
        return [self._one(text) for text in texts]

    def _try_tiktoken(self, samples: list[str]) -> None:
        try:
            encoding = tiktoken_encoding(self._own)
        except NotCovered as reason:
            self.reason = str(reason)
            return
        self._fast = lambda text: encoding.encode_to_numpy(text, disallowed_special=())
        for text, expected in zip(samples, self._slow(samples), strict=True):
            if not np.array_equal(self._one(text), expected):
                self._fast = None
                self.reason = f"the ids of tiktoken differ on {text[:40]!r}"
                return
        self.reason = None

    def _one(self, text: str) -> np.ndarray:
        assert self._fast is not None
        try:
            return self._fast(text)
        except ValueError:  # its regular expressions give up on a million blanks in a row
            return self._slow([text])[0]

    def _slow(self, texts: Sequence[str]) -> list[np.ndarray]:
        encoded = self._own.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray(one.ids, dtype=np.uint32) for one in encoded]
