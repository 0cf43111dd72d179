"""Everything a user can turn: one pydantic model a stage, and the recipes that fill them."""
