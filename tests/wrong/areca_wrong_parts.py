"""The heavy half of `areca_wrong`: for each kind a correct class, and subclasses with one fault each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from areca_wrong import RATE_HZ, STREAMS

from areca.audio import write
from areca.errors import ArecaError, InvalidConfig, MissingWeights
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import Growing, step_by_step
from areca.interfaces import Backbone, Job
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.patterns import OrderOptions
from areca.tasks import AudioSegment, Field, Segment, Task, TextSegment, Values
from areca.types import Audio, Codes, Example, VoicePrompt, require_audio, require_codes

HOP = RATE_HZ // 25
FIT_STEPS = 4


class Nothing:
    """Has neither `load` nor `fit`."""


class _Loaded:
    def __init__(self, config: Any, needs: Mapping[str, Any], files: Path | None) -> None:
        self.gain: float = config.gain
        self.calls = 0

    @classmethod
    def load(cls, config: Any, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Any:
        return cls(config, needs, files)


class Session:
    """Speaks each push at once."""

    def __init__(self, sound: Callable[[Codes], Audio], kept: list[Audio]) -> None:
        self.sound = sound
        self.kept = kept
        self.kept.clear()

    def push(self, codes: Codes) -> Audio | None:
        require_codes([codes], STREAMS)
        return self.take(codes)

    def take(self, codes: Codes) -> Audio | None:
        return self.sound(codes)

    def finish(self) -> Audio | None:
        return None


class ClickSession(Session):
    def take(self, codes: Codes) -> Audio | None:
        audio = self.sound(codes)
        audio.samples[:, 0] = 1
        return audio


class LateSession(Session):
    """Speaks each push at the next one, from a memory that all sessions of the component share."""

    def take(self, codes: Codes) -> Audio | None:
        self.kept.append(self.sound(codes))
        return self.kept.pop(0) if len(self.kept) > 1 else None

    def finish(self) -> Audio | None:
        return self.kept.pop(0) if self.kept else None


class HoardSession(Session):
    def __init__(self, sound: Callable[[Codes], Audio], kept: list[Audio]) -> None:
        super().__init__(sound, [])

    def take(self, codes: Codes) -> Audio | None:
        self.kept.append(self.sound(codes))
        return None

    def finish(self) -> Audio | None:
        return Audio(torch.cat([a.samples for a in self.kept], 1), RATE_HZ) if self.kept else None


class OpenSession(Session):
    def push(self, codes: Codes) -> Audio | None:
        return self.take(codes)


class Plain(_Loaded):
    """No check uses the instance."""


class Judge(_Loaded):
    """Its transcript is the length of the recording."""

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        self.check(audios)
        self.calls += 1
        return [f"{audio.seconds:.1f} seconds" for audio in audios]

    def check(self, audios: list[Audio]) -> None:
        require_audio(audios, RATE_HZ, 1)


class Terse(Judge):
    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        texts = super().transcribe(audios, language)
        return texts if len(texts) == 1 else [*texts, ""]


class Comparing(Judge):
    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        return [f"{text}, of {len(audios)}" for text in super().transcribe(audios, language)]


class Moody(Judge):
    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        mood = torch.initial_seed() if torch.initial_seed() < 10 else ""
        return [f"{text} {mood}" for text in super().transcribe(audios, language)]


class HearsAnything(Judge):
    def check(self, audios: list[Audio]) -> None:
        pass


class Match(_Loaded):
    """Counts the answers that equal their references, and the letters of the references."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        return [[float(e.answer.text == e.reference.text), 1.0, float(len(e.reference.text or ""))] for e in examples]

    def score(self, sums: Sequence[float]) -> float:
        return sums[0] / sums[1]


class Unequal(Match):
    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        return [[*row, *[0.0] * (int(row[2]) % 2)] for row in super().count(examples)]


class Ranking(Match):
    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        return [[*row, float(i)] for i, row in enumerate(super().count(examples))]


class Wavering(Match):
    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        mood = torch.initial_seed() if torch.initial_seed() < 10 else 0
        return [[*row, float(mood)] for row in super().count(examples)]


class Infinite(Match):
    def item_score(self, counts: Sequence[float]) -> float:
        return float("inf")


class Dividing(Match):
    def score(self, sums: Sequence[float]) -> float:
        return sums[0] if sums[2] else float("nan")


class Lower(_Loaded):
    """Supports only English."""

    def normalise(self, text: str, language: str) -> str:
        self.check(language)
        return text.lower().strip()

    def check(self, language: str) -> None:
        if language != "en":
            raise InvalidConfig(f"expected 'en', got {language!r}")


class Splitting(Lower):
    def normalise(self, text: str, language: str) -> Any:
        return super().normalise(text, language) if text.isascii() else text.split()


class Chatty(Lower):
    def normalise(self, text: str, language: str) -> str:
        return super().normalise(text, language) or "nothing"


class Drifting(Lower):
    def normalise(self, text: str, language: str) -> str:
        self.calls += bool(text.strip())
        return super().normalise(text, language) + "." * (self.calls if text.strip() else 0)


class Polyglot(Lower):
    def check(self, language: str) -> None:
        pass


class Dataset:
    """A tone for each of a few rows, in two languages."""

    rate_hz = RATE_HZ
    rows = tuple(
        Utterance(id=f"{n}", audio=f"{n}.wav", language=("en", "fr")[n % 2], split="test" if n == 3 else "train")
        for n in range(4)
    )

    @classmethod
    def fit(cls, config: Any, needs: Mapping[str, Any], data: Any, job: Job) -> None:
        for done, row in enumerate(cls.rows, start=1):
            x = torch.sin(torch.arange(cls.rate_hz) * (0.1 + 0.02 * done))[None] / 2
            write(job.directory / row.audio, Audio(x, cls.rate_hz))
            job.progress(done, len(cls.rows))
        write_manifest(job.directory / "manifest.jsonl", cls.rows)

    @classmethod
    def load(cls, config: Any, needs: Mapping[str, Any], files: Path, *, device: Any, dtype: Any) -> FileManifest:
        return read_manifest(files / "manifest.jsonl")


class Leaking(Dataset):
    rows = (*Dataset.rows, dataclasses.replace(Dataset.rows[0], id="again", split="test"))


class Unkeyed(Dataset):
    @classmethod
    def load(cls, *arguments: Any, **options: Any) -> Manifest:
        return dataclasses.replace(super().load(*arguments, **options), artifact_key="0" * 64)


class Whole(FileManifest):
    def select(self, split: str | None = None, source: str | None = None, language: str | None = None) -> Whole:
        return self


class Unselective(Dataset):
    @classmethod
    def load(cls, *arguments: Any, **options: Any) -> Manifest:
        return Whole(**vars(super().load(*arguments, **options)))


class Foreign(Dataset):
    rows = (dataclasses.replace(Dataset.rows[0], language="de"), *Dataset.rows[1:])


class Telephone(Dataset):
    rate_hz = RATE_HZ // 2


class Tokenizer(_Loaded):
    """Two streams: the mean level of every 40 ms in 64 steps, and whether the mean sample is positive."""

    session: type[Session] = Session

    def open(self) -> Session:
        return self.session(self.sound, self.__dict__.setdefault("kept", []))

    @staticmethod
    def fit(config: Any, needs: Mapping[str, Any], data: Any, job: Job) -> None:
        state = job.directory / "state.json"
        sums = json.loads(state.read_text()) if state.exists() else []
        for step in range(len(sums), FIT_STEPS):
            sums.append(sum(len(row.text or "") for row in data.rows[step::FIT_STEPS]))
            state.write_text(json.dumps(sums))
            job.progress(step + 1, FIT_STEPS)
        (job.directory / "sums.json").write_text(json.dumps(sums))
        state.unlink(missing_ok=True)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        self.check(audios)
        self.calls += 1
        return [Codes(self.streams(self.frames(audio), len(audios))) for audio in audios]

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        self.check(audios)
        return [self.frames(audio) for audio in audios]

    def codebooks(self) -> list[torch.Tensor]:
        return [torch.arange(stream.size, dtype=torch.float32)[:, None] for stream in STREAMS]

    def check(self, audios: list[Audio]) -> None:
        require_audio(audios, RATE_HZ, 1)

    def frames(self, audio: Audio) -> torch.Tensor:
        x = audio.samples.mean(0) * self.gain
        return torch.nn.functional.pad(x, (0, -x.numel() % HOP)).view(-1, HOP)

    def streams(self, frames: torch.Tensor, batch: int) -> tuple[torch.Tensor, ...]:
        level = (frames.abs().mean(1) * 64).long().clamp(0, 63)
        return level, (frames.mean(1) > 0).long()

    def decode(self, codes: list[Codes]) -> list[Audio]:
        require_codes(codes, STREAMS)
        return [self.sound(c) for c in codes]

    def sound(self, codes: Codes) -> Audio:
        return Audio((codes.streams[0] / 64).repeat_interleave(HOP)[None].float(), RATE_HZ)


class OutOfReach(Tokenizer):
    def __init__(self, *loaded: Any) -> None:
        raise MissingWeights("the hub did not answer")


class WrongWeights(Tokenizer):
    def __init__(self, *loaded: Any) -> None:
        raise InvalidConfig("the weights lack a tensor")


class FitsAnyhow(Tokenizer):
    @staticmethod
    def fit(config: Any, needs: Mapping[str, Any], data: Any, job: Job) -> None:
        (job.directory / "seed.json").write_text(str(torch.initial_seed()))


class FitsTwice(Tokenizer):
    @staticmethod
    def fit(config: Any, needs: Mapping[str, Any], data: Any, job: Job) -> None:
        for step in range(FIT_STEPS):
            with (job.directory / "log.txt").open("a") as log:
                log.write(f"{step}\n")
            job.progress(step + 1, FIT_STEPS)


class OutOfRange(Tokenizer):
    def streams(self, frames: torch.Tensor, batch: int) -> tuple[torch.Tensor, ...]:
        level, side = super().streams(frames, batch)
        return level, side + 1


class TooMany(Tokenizer):
    def frames(self, audio: Audio) -> torch.Tensor:
        return torch.nn.functional.pad(super().frames(audio), (0, 0, 0, 3))


class Crowded(Tokenizer):
    def streams(self, frames: torch.Tensor, batch: int) -> tuple[torch.Tensor, ...]:
        level, side = super().streams(frames, batch)
        return (level + batch // 2) % 64, side


class Counting(Tokenizer):
    def streams(self, frames: torch.Tensor, batch: int) -> tuple[torch.Tensor, ...]:
        level, side = super().streams(frames, batch)
        return level, (side + self.calls) % 2


class Floored(Tokenizer):
    def frames(self, audio: Audio) -> torch.Tensor:
        return super().frames(audio)[: audio.samples.shape[1] // HOP]


class TakesAnything(Tokenizer):
    def check(self, audios: list[Audio]) -> None:
        pass


class Gambling(Tokenizer):
    def check(self, audios: list[Audio]) -> None:
        super().check(audios)
        torch.rand(1)


class EveryOther(Tokenizer):
    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        return [x[::2] for x in super().features(audios)]


class HalfWidth(Tokenizer):
    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        return [x[:, ::2] for x in super().features(audios)]


class OneCodeTooFew(Tokenizer):
    def codebooks(self) -> list[torch.Tensor]:
        return [x[1:] for x in super().codebooks()]


class HalfRate(Tokenizer):
    def sound(self, codes: Codes) -> Audio:
        return Audio(super().sound(codes).samples[:, ::2], RATE_HZ // 2)


class Clamping(Tokenizer):
    def decode(self, codes: list[Codes]) -> list[Audio]:
        return [self.sound(c) for c in codes]


class Clicking(Tokenizer):
    session = ClickSession


class SharesOneSession(Tokenizer):
    session = LateSession


class Hoarding(Tokenizer):
    session = HoardSession


class PushesAnything(Tokenizer):
    session = OpenSession


class TextLM:
    """A random GPT-2 of 256 bytes."""

    rows = 256

    @classmethod
    def load(cls, config: Any, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Backbone:
        return Backbone(cls.model(), cls.tokenizer())

    @classmethod
    def model(cls) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return cls.random_model()

    @classmethod
    def random_model(cls) -> Any:
        from transformers import GPT2Config, GPT2LMHeadModel

        return GPT2LMHeadModel(GPT2Config(vocab_size=cls.rows, n_positions=64, n_embd=8, n_layer=1, n_head=1))

    @classmethod
    def architecture(cls, config: Any) -> Any:
        return cls.random_model().config

    @classmethod
    def tokenizer(cls) -> Any:
        from tokenizers import Tokenizer as Fast
        from tokenizers import decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        fast = Fast(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        fast.decoder = decoders.ByteLevel()
        return PreTrainedTokenizerFast(tokenizer_object=fast)


class OtherShape(TextLM):
    """Its architecture describes a wider model."""

    @classmethod
    def architecture(cls, config: Any) -> Any:
        from transformers import GPT2Config

        return GPT2Config(vocab_size=cls.rows, n_positions=64, n_embd=16, n_layer=1, n_head=1)


class TooFewRows(TextLM):
    rows = 60


class Forgetful(TextLM):
    @classmethod
    def tokenizer(cls) -> Any:
        from tokenizers import normalizers

        tokenizer = super().tokenizer()
        tokenizer.backend_tokenizer.normalizer = normalizers.Replace("e", "")
        return tokenizer


class AnyWeights(TextLM):
    @classmethod
    def model(cls) -> Any:
        seed = torch.initial_seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls.random_model()


class Vocoder(_Loaded):
    """Each code is a level, with a little noise."""

    session: type[Session] = Session

    def open(self, voice: VoicePrompt | None, *, generator: torch.Generator) -> Session:
        self.check_voices([voice])
        return self.session(lambda codes: self.sound(codes, generator, voice), self.__dict__.setdefault("kept", []))

    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        self.check(codes, voices)
        return [self.sound(c, generator, voice) for c, voice in zip(codes, voices, strict=True)]

    def check(self, codes: list[Codes], voices: Sequence[VoicePrompt | None]) -> None:
        require_codes(codes, STREAMS)
        self.check_voices(voices)

    def check_voices(self, voices: Sequence[VoicePrompt | None]) -> None:
        if any(voices):
            raise ArecaError("this vocoder has one voice")

    def sound(self, codes: Codes, generator: torch.Generator, voice: VoicePrompt | None) -> Audio:
        x = (codes.streams[0] / 64).repeat_interleave(HOP)
        return Audio((x + 1e-3 * torch.rand(x.shape, generator=generator))[None].float(), RATE_HZ)


class Deaf(Vocoder):
    def check_voices(self, voices: Sequence[VoicePrompt | None]) -> None:
        pass


class VoiceVocoder(Deaf):
    def sound(self, codes: Codes, generator: torch.Generator, voice: VoicePrompt | None) -> Audio:
        spoken = super().sound(codes, generator, voice)
        gain = 1.0 if voice is None else 1 + float(voice.audio.samples.std())
        return Audio(gain * spoken.samples, spoken.sample_rate_hz)


class OtherRate(Vocoder):
    def sound(self, codes: Codes, generator: torch.Generator, voice: VoicePrompt | None) -> Audio:
        return Audio(super().sound(codes, generator, voice).samples, RATE_HZ // 2)


class Whistling(Vocoder):
    def sound(self, codes: Codes, generator: torch.Generator, voice: VoicePrompt | None) -> Audio:
        return super().sound(codes, torch.Generator().manual_seed(torch.initial_seed()), voice)


class SpeaksAnything(Vocoder):
    def check(self, codes: list[Codes], voices: Sequence[VoicePrompt | None]) -> None:
        self.check_voices(voices)


class ClickingVocoder(Vocoder):
    session = ClickSession


class OpensInAnyVoice(Vocoder):
    def open(self, voice: VoicePrompt | None, *, generator: torch.Generator) -> Session:
        return super().open(None, generator=generator)


class SharesOneSessionVocoder(Vocoder):
    session = LateSession


class HoardingVocoder(Vocoder):
    session = HoardSession


class PushesAnythingVocoder(Vocoder):
    session = OpenSession


class Transcribe:
    task_class: type[Task] = Task

    @classmethod
    def load(cls, config: Any, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Task:
        return cls.task_class("ASR", (Field("source.audio"),), (Field("source.text"),))


class _PeekingTask(Task):
    def prompt(self, values: Values) -> list[Segment]:
        assert "source.text" in values, "the prompt needs the answer"
        return super().prompt(values)


class Peeking(Transcribe):
    task_class = _PeekingTask


class _ManglingTask(Task):
    def parse(self, segments: Sequence[Segment]) -> dict[str, str | Codes]:
        parsed = super().parse(segments)
        return {path: str(value).upper() for path, value in parsed.items()}


class Mangling(Transcribe):
    task_class = _ManglingTask


class _PoliteTask(Task):
    def prompt(self, values: Values) -> list[Segment]:
        _, *rest = super().prompt(values)
        assert all(isinstance(s, AudioSegment) for s in rest)
        return [TextSegment("please [ASR French]"), *rest]


class Polite(Transcribe):
    task_class = _PoliteTask


class Ordered(OrderOptions):
    """The options in `areca_wrong` are the order."""


class Likeliest(_Loaded):
    """Picks the id at a rank; the correct one picks the likeliest."""

    def search(self, rules: Rules, prompts: Sequence[Sequence[int]], generator: torch.Generator) -> list[Cursor]:
        return step_by_step(rules, prompts, self.pick, generator)

    def pick(self, logits: torch.Tensor, growing: Sequence[Growing]) -> list[int]:
        place = min(self.place(len(growing)), logits.shape[1] - 1)
        return logits.argsort(-1, descending=True)[:, place].tolist()

    def place(self, count: int) -> int:
        return 0


class Unending(Likeliest):
    def search(self, rules: Rules, prompts: Sequence[Sequence[int]], generator: torch.Generator) -> list[Cursor]:
        cursors = super().search(rules, prompts, generator)
        for cursor in cursors:
            cursor.ids.pop()
        return cursors


class Polling(Likeliest):
    def place(self, count: int) -> int:
        return count - 1


class Whimsical(Likeliest):
    def place(self, count: int) -> int:
        return torch.initial_seed() if torch.initial_seed() < 10 else 0


class Descent(_Loaded):
    """Gradient descent with momentum."""

    rate = 1.0
    decays = True
    optimizer_class: type[torch.optim.SGD] = torch.optim.SGD

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        if not self.decays:
            groups = [{"params": group["params"]} for group in groups]
        return self.optimizer_class(groups, lr=learning_rate * self.rate, momentum=0.5)


class OwnRate(Descent):
    rate = 0.5


class _AscentSGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.neg_()
        super().step(closure)


class Ascent(Descent):
    optimizer_class = _AscentSGD


class _HastySGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            group["lr"] = group["lr"] or 0.01
        super().step(closure)


class Hasty(Descent):
    optimizer_class = _HastySGD


class Undecayed(Descent):
    decays = False


class _AmnesicSGD(torch.optim.SGD):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"state": {}}


class Amnesic(Descent):
    optimizer_class = _AmnesicSGD


class _NoisySGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad += torch.initial_seed() % 10 / 10  # 0.1 or 0.2 in the check
        super().step(closure)


class Noisy(Descent):
    optimizer_class = _NoisySGD


class Falling(_Loaded):
    """Falls to 0 along a line."""

    def factor(self, step: int, steps: int) -> float:
        self.calls += 1
        return (steps - step) / max(1, steps)


class Overshooting(Falling):
    def factor(self, step: int, steps: int) -> float:
        return 2 * super().factor(step, steps)


class Winding(Falling):
    def factor(self, step: int, steps: int) -> float:
        return super().factor(step, steps) / (1 + self.calls)
