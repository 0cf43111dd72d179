"""Offer recipes in the Prefect UI: one deployment a recipe, its settings filled in, run by this process.

    prefect server start --host 127.0.0.1                     in one terminal
    PREFECT_API_URL=http://127.0.0.1:4200/api python deploy/serve.py quickstart real-small

Start a run from the UI, or with
    prefect deployment run align/quickstart -p rerun_from='"reward"'
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from configs.recipe import load_recipe, shipped
from flows.engine import prepare_environment

prepare_environment()

from prefect import serve  # noqa: E402 - reads its settings from the environment when imported

from flows.align import align  # noqa: E402


def main() -> None:
    names = sys.argv[1:] or shipped()
    recipes = {name: load_recipe(name) for name in names}
    # Two runs at once would wait for each other's leases, and for the processor
    serve(
        *(
            align.to_deployment(name=name, parameters={"config": config.model_dump(mode="json")}, tags=["plumbline"])
            for name, config in recipes.items()
        ),
        limit=1,
    )


if __name__ == "__main__":
    main()
