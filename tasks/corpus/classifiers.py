"""Classifiers that other packages register; a config names them, it never names code."""

from collections.abc import Callable
from importlib.metadata import entry_points

from configs.schema.screen import Classifier
from tasks.failures import BadConfig

GROUP = "plumbline.classifiers"
Score = Callable[[str], float]


def load_classifier(config: Classifier) -> Score:
    """The function (text to score in 0..1) that an installed package registers under this name.

    Raises BadConfig when there is none, or its package has another version than the config asks for.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    entry = known.get(config.name)
    if entry is None:
        raise BadConfig(
            f"corpus.screen.classifiers: no installed package registers {config.name!r} in the entry point group "
            f"{GROUP}; registered: {', '.join(sorted(known)) or 'none'}"
        )
    installed = entry.dist.version if entry.dist else "unknown"
    if installed != config.version:
        raise BadConfig(
            f"corpus.screen.classifiers: {config.name!r} asks for version {config.version}, installed is {installed}; "
            "install that version, or change corpus.screen.classifiers.version"
        )
    classify: Score = entry.load()

    def score(text: str) -> float:
        value = float(classify(text))
        if not 0 <= value <= 1:
            raise BadConfig(f"classifier {config.name!r} gave the score {value}, which is not between 0 and 1")
        return value

    return score
