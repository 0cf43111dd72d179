"""The model that every config inherits from, and the one way to declare a field of it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Frozen, unknown keys refused, defaults validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def setting(default: Any, doc: str, *, unit: str = "", keyed: bool = True, **limits: Any) -> Any:
    """Declare a field: default, one line of documentation, unit, and whether it is part of the artifact key.

    ``keyed=False`` is for what changes where or how fast a stage runs, and not what it makes: paths (their
    content is keyed by digest), processes, threads, logging. ``default=...`` makes the field required.
    """
    return Field(default, description=doc, json_schema_extra={"unit": unit, "keyed": keyed}, **limits)


def keyed_fields(config: BaseModel) -> dict[str, Any]:
    """The part of a config that decides the bytes of an artifact, as plain JSON values."""
    kept: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("keyed", True):
            kept[name] = _plain(getattr(config, name))
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return keyed_fields(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
