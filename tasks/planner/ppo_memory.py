"""Memory of the PPO stage by term, in bytes: what is held throughout, and what each phase needs on top.

The peak of a process is what it holds after its imports, plus what is held, plus the largest phase with the holes that
the C library's allocator leaves between tensors of ever other sizes, or plus the base that is loaded at the end.
All weights are float32.
"""

from dataclasses import dataclass, field

from configs.schema.training import LoraSettings
from tasks.planner.ppo_work import Work
from tasks.planner.shape import ModelShape

REAL, DOUBLE, LONG = 4, 8, 8  # bytes
TRAINED = 4 * REAL  # weight, gradient and Adam's two moments
IMPORTS = 420e6  # of torch, transformers and peft; a measured profile replaces these three
FIRST_USE = 35e6  # code and tables that the libraries bring in when they first compute
UPDATES = ("update: policy", "update: critic")
HOLES = (1.36, 0.51)  # shares of the layers' part and of the rest, measured at quickstart size with a head


@dataclass(frozen=True)
class Overhead:
    """What is not tensors: held after imports, brought in at first use (bytes).

    holes: shares of a pass with gradients, of all layers but one and of the rest. What a layer needs comes in
    many sizes, between small pieces that stay; one of the two shares may be negative, their sum in bytes is not.
    """

    imports: float = IMPORTS
    first_use: float = FIRST_USE
    holes: tuple[float, float] = HOLES


@dataclass(frozen=True)
class Memory:
    """Bytes by term. ``phases``: on top of all of ``held``, one at a time."""

    held: dict[str, float]
    phases: dict[str, float]
    layers: dict[str, float]  # of each phase, the part of all layers but one
    end: float  # in the room of the phases: what they freed stays with the process
    overhead: Overhead = field(default_factory=Overhead)

    @property
    def phase(self) -> str:
        """The phase that makes the peak."""
        return max(self.phases, key=lambda name: self.phases[name] + self._holes(name))

    @property
    def holes(self) -> float:
        """Bytes between the tensors of the phase that makes the peak."""
        return self._holes(self.phase)

    def _holes(self, name: str) -> float:
        """Passes with gradients leave them; the others find room in what those have freed."""
        if name not in UPDATES:
            return 0.0
        layers, rest = self.overhead.holes
        return max(layers * self.layers[name] + rest * (self.phases[name] - self.layers[name]), 0.0)

    @property
    def own(self) -> float:
        """Peak beyond the imports. The base that is loaded at the end takes the room that the updates have left."""
        phase = self.phases[self.phase] + self.holes
        return self.overhead.first_use + sum(self.held.values()) + max(phase, self.end)

    @property
    def peak(self) -> float:
        """Peak of the process."""
        return self.overhead.imports + self.own


def memory(work: Work, overhead: Overhead | None = None) -> Memory:
    """All terms of a stage's process."""
    one, two = phases(work.with_layers(1)), phases(work.with_layers(2))
    layers = {name: (work.shape.layers - 1) * (two[name] - one[name]) for name in one}
    # the bare base is loaded once more, for the perplexity of the answers
    return Memory(held(work), phases(work), layers, work.shape.parameters * REAL, overhead or Overhead())


def held(work: Work) -> dict[str, float]:
    """What lies in memory from the first update to the end."""
    config, shape = work.config, work.shape
    base, policy = shape.parameters * REAL, work.policy_parameters
    full = work.learned is None
    average = config.ema.decay is not None
    kept = config.guard.every is not None
    return {
        "base weights": base,
        "merged copy for sampling": work.merged_parameters * REAL,
        # of a whole policy the weights are the base's
        "policy: adapter, gradients, moments": policy * (TRAINED - REAL if full else TRAINED),
        "critic, gradients, moments": work.critic_parameters * TRAINED,
        "reward model": work.reward_parameters * REAL,
        "reference": base if full else 0.0,
        "running mean and kept policy": policy * REAL * (average + kept),
        "rollout": rollout(work),
    }


def rollout(work: Work) -> float:
    """What an update learns from: ids, four numbers a token, and the features that a head reads."""
    lengths, features = work.lengths, work.shape.hidden if work.critic_lora is None else 0
    return work.rows * (lengths.row * LONG + lengths.answer * REAL * (5 + features))


def phases(work: Work) -> dict[str, float]:
    """Largest need of each phase beside what is held."""
    return {
        "sampling": sampling(work),
        "reading": reading(work),
        "update: policy": learning(work),
        "update: critic": criticism(work),
        "scoring": scoring(work),
        "ptx": text_pass(work),
        "checkpoint": 3 * work.policy_parameters * REAL,
    }


def cache(work: Work) -> float:
    """Keys and values of all layers for prompts and answers."""
    shape = work.shape
    return work.sampled * work.lengths.row * 2 * shape.layers * shape.kv_heads * shape.head_size * REAL


def sampling(work: Work) -> float:
    """The cache, the larger one of the prompts' pass and of the choice of a token (three arrays of doubles)."""
    shape, rows = work.shape, work.sampled
    choice = rows * shape.vocabulary * (2 * REAL + 3 * DOUBLE)
    return cache(work) + max(choice, rows * work.lengths.prompt * widest(shape) * REAL)


def widest(shape: ModelShape) -> int:
    """Numbers a token that one layer has at a time without gradients: in the feed-forward layer."""
    return 3 * shape.hidden + 3 * shape.mlp


def reading(work: Work) -> float:
    """A pass without gradients: one layer or all last states, then the logits, of which one row is worked on."""
    shape, rows, lengths = work.shape, work.read_rows, work.lengths
    states = shape.layers + 1 if work.critic_lora is None and not shape.spares else 1
    layer = rows * lengths.row * (widest(shape) + states * shape.hidden) * REAL
    logits = (rows * (lengths.answer + 1) + 3 * lengths.answer) * shape.vocabulary * REAL
    return max(layer, rows * lengths.row * states * shape.hidden * REAL + logits)


def learning(work: Work) -> float:
    """What the backward pass needs of every layer, and the logits with what becomes of them."""
    return saved(work, work.shape, work.learned) + logits(work)


def logits(work: Work) -> float:
    """Of the policy's pass with gradients: the logits, their softmax, and on the way back its gradient.

    With an entropy bonus every step of the formula is kept.
    """
    rows, answer = work.learn_rows, work.lengths.answer
    arrays = 2 * answer if work.shape.spares else 3 * answer + 1
    if work.config.entropy_coefficient:
        arrays = 7 * answer + 1
    return rows * work.shape.vocabulary * arrays * REAL


def saved(work: Work, shape: ModelShape, lora: LoraSettings | None) -> float:
    """Bytes that autograd keeps of the layers in a pass with gradients."""
    row, asked = work.lengths.row, work.lengths.answer / work.lengths.row if shape.spares else 1.0
    numbers = (shape.layers - 1) * saved_numbers(shape, lora) + saved_numbers(shape, lora, asked)
    return work.learn_rows * row * numbers * REAL


def saved_numbers(shape: ModelShape, lora: LoraSettings | None, asked: float = 1.0) -> float:
    """Numbers a token that autograd keeps in a layer, None for whole training.

    A frozen matrix keeps nothing, its adapter keeps its input (once, where several share it) and the narrow state.
    Beside that: inputs of both norms, query, key, value and what attention gave, and in the feed-forward layer every
    step between its matrices. ``asked``: share of the columns that the last layer computes; keys and values need all.
    Counted with ``torch.autograd.graph.saved_tensors_hooks``.
    """
    inner, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    narrow = 0.0 if lora is None else lora.rank * len(shape.adapted(lora.targets)) / shape.layers
    if shape.architecture == "gpt2":
        return 8 * shape.hidden + 5 * shape.mlp + narrow + shape.heads + 4
    norm = 2 if lora is not None else 3  # a norm's trained weight needs what it multiplies
    seen = 2 * (inner if shape.spares else keys)  # where queries share a key it is copied for each of them
    rest = norm * shape.hidden + 2 * inner + 4 * shape.mlp + narrow + shape.heads + 2
    return norm * shape.hidden + seen + asked * rest


def criticism(work: Work) -> float:
    """The critic's pass with gradients, made when the policy's is freed."""
    rows, lengths, lora = work.learn_rows, work.lengths, work.critic_lora
    if lora is None:
        return rows * lengths.answer * work.shape.hidden * 12 * REAL
    return saved(work, work.critic_shape, lora)


def scoring(work: Work) -> float:
    """A pass of the reward model, which computes no logits."""
    if work.reward.none:
        return 0.0
    shape = work.reward.whole or work.shape
    return work.scored_rows * work.lengths.row * (widest(shape) + shape.hidden) * REAL


def text_pass(work: Work) -> float:
    """The pretraining gradient: every token has logits."""
    ptx, shape = work.config.ptx, work.shape
    if not ptx.coefficient:
        return 0.0
    rows = min(ptx.batch, work.config.micro_batch or ptx.batch)
    numbers = shape.layers * saved_numbers(shape, work.learned) + 4 * shape.vocabulary
    return rows * ptx.max_length * numbers * REAL
