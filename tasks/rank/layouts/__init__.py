"""Rankings as other people's rows: one file a layout, which reads it and, where it can, writes it.

`source` reads the files of a source in any of them; `table` is the list of them.
"""
