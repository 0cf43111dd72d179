"""Recipes: every shipped one loads, every problem is named, every field is documented."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from configs.recipe import RECIPES, RecipeError, load_recipe, parse_recipe, shipped
from configs.schema import AlignConfig, keyed_fields


def models(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """A config model and all models inside it."""
    seen = seen if seen is not None else set()
    if model in seen:
        return seen
    seen.add(model)
    for field in model.model_fields.values():
        stack = [field.annotation]
        while stack:
            item = stack.pop()
            stack += getattr(item, "__args__", ())
            if isinstance(item, type) and issubclass(item, BaseModel):
                models(item, seen)
    return seen


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_loads_and_says_hardware_time_command(name: str) -> None:
    assert load_recipe(name).name == name
    header = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").split("name:")[0]
    for word in ("Hardware:", "Time:", "Command:"):
        assert word in header


@pytest.mark.parametrize("model", sorted(models(AlignConfig), key=lambda item: item.__name__), ids=lambda m: m.__name__)
def test_every_field_is_documented_in_one_line(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no documentation"
        assert "\n" not in field.description
        assert "unit" in field.json_schema_extra, f"{model.__name__}.{name} is not declared with setting()"
    assert model.__doc__


def test_all_problems_are_named_at_once_with_path_value_and_limit() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("quickstart", ["ppo.betta=3", "finetune.lora.rank=0", "reward.objective=best", "nonsense"])
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "ppo.betta: unknown setting; allowed: prompts" in text
    assert "finetune.lora.rank=0" in text
    assert "greater than or equal to 1" in text
    assert "reward.objective='best'" in text
    assert "'pairs'" in text
    assert "path=value" in text


def test_contradictions_name_both_settings() -> None:
    changes = ["pretrain.heads=3", "ppo.minibatch=48", "finetune.max_length=999", "tokenizer.base=somewhere"]
    with pytest.raises(RecipeError) as caught:
        load_recipe("quickstart", changes)
    text = str(caught.value)
    for part in ("pretrain.hidden=128", "pretrain.heads=3", "ppo.batch=64", "ppo.minibatch=48", "tokenizer.base"):
        assert part in text
    assert "finetune.max_length=999 exceeds pretrain.context" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["candidates=null"], "rank.ranker=rubric without candidates"),
        (["rank.ranker=null"], "rank.ranker is not set: say who ranks them"),
        (["candidates=null", "rank.ranker=null", "rank.sources=[]"], "name a data set of rankings, or sample"),
        (["rank.people.path=ranked.jsonl"], "but rank.ranker=rubric: set rank.ranker=people"),
    ],
)
def test_candidates_and_their_ranker_come_together(changes: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe("quickstart", changes)
    assert load_recipe("quickstart", ["rank.ranker=people", "rank.people.path=ranked.jsonl"]).rank.ranker == "people"


def test_a_world_path_without_a_world_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"corpus\.sources\.0\.path names 'world:documents.jsonl'"):
        load_recipe("quickstart", ["world=null"])


def test_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match="quickstart"):
        load_recipe("no-such-recipe")


def test_yaml_object_tags_are_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "bad.yaml"
    planted.write_text("name: !!python/object/apply:os.system ['true']\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(str(planted))


def test_seed_is_handed_down_and_an_own_seed_stays() -> None:
    config = load_recipe("quickstart", ["seed=7", "ppo.seed=9"])
    assert (config.pretrain.seed, config.reward.seed, config.ppo.seed) == (7, 7, 9)
    assert config.world is not None
    assert config.world.seed == 7


def test_where_and_how_fast_is_not_part_of_the_key() -> None:
    plain = load_recipe("quickstart")
    moved = load_recipe("quickstart", ["finetune.launch.threads=1", "finetune.checkpoint.every=7"])
    other = load_recipe("quickstart", ["finetune.lora.rank=8"])
    assert keyed_fields(plain.finetune) == keyed_fields(moved.finetune)
    assert keyed_fields(plain.finetune) != keyed_fields(other.finetune)


def test_a_recipe_survives_its_own_json() -> None:
    config = load_recipe("quickstart")
    again = parse_recipe(yaml.safe_load(config.model_dump_json()), "again")
    assert again == config
