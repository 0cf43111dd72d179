"""The tasks that engines run, by name."""

from tasks.corpus.clean import clean_shard
from tasks.corpus.engine import Task
from tasks.corpus.output import write_output
from tasks.corpus.sets import write_sets

TASKS: dict[str, Task] = {"clean": clean_shard, "sets": write_sets, "output": write_output}
