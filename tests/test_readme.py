"""The README's commands exist, its links lead somewhere, and its recipes are the shipped ones."""

import re
from pathlib import Path

from typer.testing import CliRunner

from configs.recipe import shipped
from flows.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\S+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_command_and_option_shown_is_known() -> None:
    for line in re.findall(r"^plumbline ([a-z].*?)(?:   |$)", README, flags=re.MULTILINE):
        name, *rest = line.split()
        text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
        if rest and f"│ {rest[0]} " in text:  # a command of a group
            text = CliRunner().invoke(app, [name, rest[0], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
        assert "Usage" in text, name
        for option in (word.strip("[]") for word in rest if word.strip("[]").startswith("--")):
            assert option in text, f"{name} {option}"


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).is_file(), target


def test_the_table_of_recipes_is_complete() -> None:
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \| ", README, flags=re.MULTILINE)) >= set(shipped())
