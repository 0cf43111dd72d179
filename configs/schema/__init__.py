"""One pydantic model a stage, and AlignConfig that holds them."""

from configs.schema.align import STAGES, AlignConfig, StageName
from configs.schema.strict import keyed_fields

__all__ = ["STAGES", "AlignConfig", "StageName", "keyed_fields"]
