"""Plain text as token ids, as fast as the tokenizer allows."""
