"""The small world of the quickstart: a generator of documents, stories, instructions and rankings."""

from configs.schema.strict import Strict, setting


class WorldConfig(Strict):
    """Sizes of the generated data. The same seed and sizes give the same bytes."""

    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    stories: int = setting(8000, "Stories for pretraining.", unit="documents", ge=1)
    documents: int = setting(800, "Field notes for pretraining.", unit="documents", ge=1)
    exact_duplicates: int = setting(60, "Planted exact copies of field notes.", unit="documents", ge=0)
    near_duplicates: int = setting(
        60, "Planted copies of field notes with a few words changed.", unit="documents", ge=0
    )
    junk: int = setting(60, "Planted junk documents, evenly over the quality filters.", unit="documents", ge=0)
    pii: int = setting(60, "Planted e-mail addresses and phone numbers, one a document.", unit="documents", ge=0)
    malformed: int = setting(5, "Planted lines that are not valid JSON.", unit="lines", ge=0)
    instructions: int = setting(3200, "Instructions with answers.", unit="rows", ge=1)
    ranked_prompts: int = setting(900, "Prompts with ranked candidates.", unit="prompts", ge=1)
    rank_prompts: int = setting(256, "Prompts for sampling candidates.", unit="prompts", ge=1)
    candidates: int = setting(4, "Ranked candidates a prompt (K).", unit="answers", ge=2)
    heldout: int = setting(400, "Held-out documents, drawn as the training text is.", unit="documents", ge=1)
    prompts: int = setting(768, "Prompts for PPO, disjoint from all others.", unit="prompts", ge=1)
    heldout_prompts: int = setting(96, "Held-out prompts, disjoint from all others.", unit="prompts", ge=1)
