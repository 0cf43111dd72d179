"""Read a recipe: a shipped name or a YAML file, with settings changed on the command line."""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.credentials import credentials_in
from configs.schema import AlignConfig

RECIPES = Path(__file__).parent / "recipes"


class RecipeError(Exception):
    """One or more problems in a recipe; ``problems`` lists them all."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{where}: {len(problems)} problem(s)\n" + "\n".join(f"  - {problem}" for problem in problems))


def shipped() -> list[str]:
    """Names of the recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str, changes: list[str] | None = None) -> AlignConfig:
    """Read recipe ``name`` and apply ``changes`` ("ppo.kl.beta=0.2"). Raises RecipeError with every problem."""
    path = RECIPES / f"{name}.yaml" if name in shipped() else Path(name)
    if not path.is_file():
        raise RecipeError(name, [f"no such recipe or file; shipped recipes: {', '.join(shipped())}"])
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(str(path), [f"not valid YAML: {error}"]) from None
    if not isinstance(values, dict):
        raise RecipeError(str(path), [f"a recipe is a mapping of stages, this is {type(values).__name__}"])
    problems = [problem for change in changes or [] if (problem := _apply(values, change))]
    if values.get("data_root") is None and os.environ.get("PLUMBLINE_DATA_ROOT"):
        values["data_root"] = os.environ["PLUMBLINE_DATA_ROOT"]
    return parse_recipe(values, f"recipe {name}" if name in shipped() else str(path), problems)


def parse_recipe(values: dict[str, Any], where: str, problems: list[str] | None = None) -> AlignConfig:
    """Validate plain values. Raises RecipeError with every problem: path, value, what is allowed."""
    if secrets := list(credentials_in(values)):
        raise RecipeError(where, secrets)  # and nothing else: other problems would repeat the value
    problems = list(problems or [])
    try:
        config = AlignConfig.model_validate(values)
    except ValidationError as error:
        problems += [_explain(item) for item in error.errors(include_url=False)]
    if problems:
        raise RecipeError(where, problems)
    return config


def _explain(item: Any) -> str:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{path}: unknown setting{_neighbours(item['loc'])}"
    if item["type"] == "missing":
        return f"{path}: required"
    if not path:
        return str(item["msg"]).removeprefix("Value error, ")
    return f"{path}={item['input']!r}: {item['msg']}"


def _neighbours(location: tuple[Any, ...]) -> str:
    """Name the settings that exist where an unknown one was found."""
    model: Any = AlignConfig
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        found = [arg for arg in (annotation, *_inner(annotation)) if hasattr(arg, "model_fields")]
        if not found:
            return ""
        model = found[0]
    return f"; allowed: {', '.join(model.model_fields)}"


def _inner(annotation: Any) -> list[Any]:
    inner: list[Any] = []
    for arg in getattr(annotation, "__args__", ()):
        inner += [arg, *_inner(arg)]
    return inner


def _apply(values: dict[str, Any], change: str) -> str | None:
    """Set one ``a.b=value`` in place; the value is YAML. Returns the problem, if any."""
    path, equals, text = change.partition("=")
    if not equals or not path:
        return f"--set {change!r}: write it as path=value, for example ppo.kl.beta=0.2"
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return f"--set {change!r}: {text!r} is not valid YAML: {error}"
    target: Any = values
    *parents, leaf = path.split(".")
    for part in parents:
        if isinstance(target, list):
            if not part.isdigit() or int(part) >= len(target):
                return f"--set {change!r}: {part!r} is not an index below {len(target)}"
            target = target[int(part)]
            continue
        if not isinstance(target.get(part), (dict, list)):
            target[part] = {}
        target = target[part]
    if isinstance(target, list):
        if not leaf.isdigit() or int(leaf) >= len(target):
            return f"--set {change!r}: {leaf!r} is not an index below {len(target)}"
        target[int(leaf)] = value
    else:
        target[leaf] = value
    return None
