"""Tokenise and pack beside datasets.map; see tokenising.py.

    python benchmarks/corpus/tokenize.py --data FOLDER [--megabytes 40] [--repeats 3] [--threads 2] [--json]

Python has a module of this name, and a script's folder comes first where modules are searched: whoever imports
``tokenize`` from a script of this folder is handed Python's.
"""

import sys

if __name__ == "tokenize":
    import sysconfig
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("tokenize", f"{sysconfig.get_path('stdlib')}/tokenize.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["tokenize"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tokenize"])

if __name__ == "__main__":
    from tokenising import main

    main()
