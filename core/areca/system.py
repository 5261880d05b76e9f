"""A checkpoint in use: speech or text in, text and speech out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import torch

from areca.artifacts.checkpoint import Checkpoint, open_checkpoint
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.artifacts.tables import EncodedTable
from areca.artifacts.tokens import TokenTable
from areca.artifacts.vectors import VectorTable
from areca.component import Kind
from areca.errors import ArecaError, ArecaWarning, InvalidArtifact, InvalidConfig, quote
from areca.generation.batch import Batch, Instruction
from areca.generation.generate import Generated
from areca.generation.reading import Reader
from areca.generation.requests import Result, Sound, check_texts, get_input_kind, resolve_languages
from areca.generation.speaking import AnswerPiece, Spoken, find_delays, open_speech, speak_pieces
from areca.generation.voices import Voice, choose_voices, takes_voice
from areca.interfaces import SpeechSession, Tokenizer, Vocoder
from areca.lm.adapter import VectorLayout
from areca.lm.model import SpeechLM
from areca.lm.patterns import Pattern
from areca.lm.spelling import warn_about_texts
from areca.registry.parts import Part, resolve
from areca.run.decoding import DEFAULT, Decoding, resolve_decoding
from areca.run.devices import resolve_device
from areca.sound.arrays import is_recording
from areca.specs import VocoderSpec
from areca.tasks import Task, chain
from areca.types import Audio, Codes, VoicePrompt

__all__ = ["NANO", "AnswerOptions", "AnswerPiece", "Result", "Sound", "System", "load"]
NANO = Path(__file__).parent / "assets" / "nano"
"""The checkpoint that areca ships."""


class AnswerOptions(TypedDict, total=False):
    """Keyword options of `System.run`; `System.answer` has their meanings and defaults."""

    source: str | None
    target: str | None
    voice: Sound | list[Sound] | None
    decoding: Decoding | Mapping[str, Any] | str | None
    batch: int
    seed: int
    deliver: Callable[[Result], None]


class System:
    """A checkpoint that is ready for use: it transcribes, translates and speaks.

    `load` returns one; `run` answers requests. The LM is loaded at once, each component when it is first needed.

    Args:
        checkpoint: an open, verified checkpoint.
        device: where to compute.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint, self.run_config = checkpoint, checkpoint.run
        self.lm = SpeechLM.load(checkpoint.lm, checkpoint.run.registry, device)
        self.lm.model.eval()
        _check_streams(checkpoint, self.lm)
        self._loader = PartLoader(Store(), seed=self.run_config.seed, device=device, artifacts=checkpoint.parts)
        self._task_parts = {
            name: part
            for mix in self.run_config.tasks
            for name, part in reversed(list(zip(mix.names, mix.parts, strict=True)))
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks and chains that the checkpoint was trained for; a chain is written ``asr+ast``."""
        return tuple(dict.fromkeys(mix.name for mix in self.run_config.tasks))

    def fullest_task(self, kind: str) -> str:
        """Return the task with the most outputs among those whose only input is of a kind.

        Args:
            kind: ``"audio"`` or ``"text"``.

        Raises:
            InvalidConfig: the checkpoint was not trained for such a task.
        """
        tasks = {name: self.task(name) for name in self.tasks}
        inputs = {name: list({f.path: f.kind for f in task.inputs}.values()) for name, task in tasks.items()}
        counts = {name: len(task.outputs) for name, task in tasks.items() if inputs[name] == [kind]}
        if not counts:
            raise InvalidConfig(f"no task of this checkpoint reads only {kind}; name one of {', '.join(tasks)}")
        return max(counts, key=counts.__getitem__)

    @property
    def takes_voice(self) -> bool:
        """Whether the vocoder speaks in the voice of a prompt."""
        return takes_voice(self.run_config.vocoder)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer whose codes or vectors the LM reads."""
        return self._load_tokenizer(self.run_config.lm.reads)

    def _load_tokenizer(self, role: str) -> Tokenizer:
        tokenizer: Tokenizer = self._loader.instance(self.run_config.tokenizers[role])
        return tokenizer

    @cached_property
    def _reader(self) -> Reader:
        run = self.run_config
        specs = {role: run.tokenizers[role].spec for role in run.lm_streams}
        spec = run.vocoder.spec if run.vocoder is not None and self.takes_voice else None
        voice_rate_hz = spec.sample_rate_hz if isinstance(spec, VocoderSpec) else None
        return Reader(specs, self._encode, run.lm.reads, run.input, voice_rate_hz)

    def _encode(self, role: str, audios: list[Audio]) -> list[Codes] | list[torch.Tensor]:
        """Return what the LM reads of recordings: codes of a role, or vectors."""
        vectors = self.run_config.reads_vectors and role == self.run_config.lm.reads
        form: type[EncodedTable[Any]] = VectorTable if vectors else TokenTable
        return form.encode(self._load_tokenizer(role), audios)

    @cached_property
    def vocoder(self) -> Vocoder:
        """The vocoder.

        Raises:
            InvalidConfig: the checkpoint has no vocoder.
        """
        if self.run_config.vocoder is None:
            raise InvalidConfig(
                f"{self.checkpoint.directory}: has no vocoder, so it cannot speak; add 'vocoder:' to the run's YAML"
            )
        vocoder: Vocoder = self._loader.instance(self.run_config.vocoder)
        return vocoder

    def task(self, name: str) -> Task:
        """Return a task, or a chain of tasks joined by ``+`` or ``,``.

        Raises:
            UnknownComponent: no task has that name.
        """
        names = [n.strip() for n in name.replace(",", "+").split("+")]
        tasks = [self._loader.instance(self._task_part(n)) for n in names]
        if "+".join(names) not in self.tasks:
            warnings.warn(
                f"this checkpoint was not trained for task {quote(name)}, only for {', '.join(self.tasks)}",
                ArecaWarning,
                stacklevel=2,
            )
        return tasks[0] if len(tasks) == 1 else chain(tasks)

    def _task_part(self, name: str) -> Part:
        if name in self._task_parts:
            return self._task_parts[name]
        return resolve(self.run_config.registry, Kind.TASK, {"name": name}, role="task")

    # A text is also a sequence of texts; the first overload that matches decides, as `run` itself does.
    @overload
    def run(self, task: str, audio: Sound, **options: Unpack[AnswerOptions]) -> Result: ...  # type: ignore[overload-overlap]
    @overload
    def run(self, task: str, audio: Sequence[Sound], **options: Unpack[AnswerOptions]) -> list[Result]: ...
    @overload
    def run(self, task: str, *, text: str, **options: Unpack[AnswerOptions]) -> Result: ...  # type: ignore[overload-overlap]
    @overload
    def run(self, task: str, *, text: Sequence[str], **options: Unpack[AnswerOptions]) -> list[Result]: ...
    def run(
        self,
        task: str,
        audio: Sound | Sequence[Sound] | None = None,
        text: str | Sequence[str] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> Result | list[Result]:
        """Answer one request, or a list of requests.

        For example::

            answer = system.run("ast", audio="in.wav", source="French", target="English")
            answers = system.run("tts", text=["un", "deux"], source="French", batch=2)

        Args:
            task: ``asr``, ``ast``, ``s2st``, ``tts``, ``mt``, a plugin's task, or a chain such as ``asr+ast+s2st``.
            audio: a recording, or a list of recordings: a path, an `Audio` or ``(array, rate)``, with any sampling rate
                and number of channels.
            text: a text to speak or translate, or a list of texts.
            options: languages, voice and decoding, as in `answer`.

        Returns:
            A `Result`; for a list, a list of results in the same order.

        Raises:
            InvalidConfig: an input or a language that the task needs is missing.
            InvalidAudio: a recording cannot be used or is silent; the message names it.
        """
        items = self._only_input(task, audio=audio, text=text)
        if isinstance(items, (str, Path)) or is_recording(items):
            return self.answer(task, [items], **options)[0]
        return self.answer(task, list(items), **options)

    def answer(
        self,
        task: str,
        items: Sequence[Sound],
        *,
        source: str | None = None,
        target: str | None = None,
        voice: Sound | list[Sound] | None = None,
        decoding: Decoding | Mapping[str, Any] | str | None = None,
        batch: int = 8,
        seed: int = 0,
        deliver: Callable[[Result], None] = lambda _: None,
    ) -> list[Result]:
        """Answer a list of requests. All requests are read before the first is answered, so a bad one costs no answers.

        Args:
            task: as in `run`.
            items: recordings or texts, whichever the task reads.
            source: language of the input, as a code (``"fr"``) or an English name (``"French"``).
            target: language of the translation.
            voice: the voice to speak in, for vocoders and tasks that take a voice prompt: a recording, ``"source"`` for
                the voice of the input, or ``"none"`` for the vocoder's own voice; a list: the voice of each item. None:
                ``"source"`` for a spoken answer to a recording, if the vocoder takes voice prompts. A vocoder hears the
                first 3 s of sound.
            decoding: a decoding method, or ``{"name": "beam", "beams": 8, "max_text_ids": 100}``; None: `greedy`.
            batch: number of requests answered at once.
            seed: seed of sampling and of the vocoder.
            deliver: called with each answer as soon as its batch is done, so that a later failure does not lose it.

        Raises:
            InvalidConfig: a language that the task needs is missing, or a voice is given to a task or vocoder that does
                not take one.
            InvalidAudio: a recording cannot be used, or a voice prompt has less than 0.3 s of sound; the message names
                it.
        """
        instruction = self._instruct(task, items, source, target, decoding)
        # Read all requests, then answer them batch by batch.
        voices = self._choose_voices(instruction.task, voice, len(items))
        name = task.replace(",", "+").replace(" ", "")
        starts = range(0, len(items), batch)
        batches = [
            self._prepare(instruction, items[start : start + batch], voices[start : start + batch]) for start in starts
        ]
        results = []
        for start, ready in zip(starts, batches, strict=True):
            for result in self._answer(instruction, name, ready, seed + start):
                deliver(result)
                results.append(result)
        return results

    def stream(
        self,
        task: str,
        audio: Sound | None = None,
        text: str | None = None,
        *,
        source: str | None = None,
        target: str | None = None,
        voice: Sound | None = None,
        decoding: Decoding | Mapping[str, Any] | str | None = None,
        seed: int = 0,
    ) -> Iterator[AnswerPiece]:
        """Answer one request, and yield the text and the audio of the answer while it grows.

        The pieces together are the answer of `run`: the same text, and the same audio apart from rounding. The request
        is read, and refused if it is wrong, before this method returns.

        Text comes in whole characters as the LM writes them. Audio comes while the LM writes if the vocoder has the tag
        ``stream``; otherwise a field's audio is one piece. Both need a decoding method that only picks ids, such as
        `greedy` and `sample`: with beam search all pieces come at the end. A pattern that writes one stream after
        another, as `coarse-first`, has the first frame only when it writes the last stream. A warning states such a
        delay.

        For example::

            for piece in system.stream("s2st", audio="in.wav", source="French", target="English"):
                if piece.audio is not None:
                    player.write(piece.audio.samples[0].numpy())

        Args:
            task: as in `run`.
            audio: a recording.
            text: a text to speak or translate.
            source: as in `answer`, as are the following.
            target: language of the translation.
            voice: the voice to speak in.
            decoding: a decoding method.
            seed: seed of sampling and of the vocoder.

        Raises:
            InvalidConfig, InvalidAudio: as in `run`.
        """
        items = [self._only_input(task, audio=audio, text=text)]
        instruction = self._instruct(task, items, source, target, decoding)
        spoken = Spoken.of(instruction.task, self.lm.writes)
        for delay in find_delays(instruction.method, spoken, self.run_config.vocoder):
            warnings.warn(delay, ArecaWarning, stacklevel=2)
        batch, _ = self._prepare(instruction, items, self._choose_voices(instruction.task, voice, 1))

        def open_session() -> SpeechSession:
            part, prompt = self.run_config.vocoder, batch.requests[0].voice
            return open_speech(self.vocoder, prompt, seed, streams=part is not None and "stream" in part.tags)

        pieces = batch.stream(self.lm, instruction, seed)
        return speak_pieces(
            pieces, instruction.task, batch.requests[0].values, spoken, self.lm.text_tokenizer, open_session
        )

    def _only_input(self, task: str, **inputs: Any) -> Any:
        """Return the one input that is given.

        Raises:
            InvalidConfig: the task reads another kind, or none or several inputs are given.
        """
        kind = get_input_kind(self.task(task))
        given = {name: value for name, value in inputs.items() if value is not None}
        if list(given) != [kind]:
            raise InvalidConfig(f"task {task}: reads {kind}, got {' and '.join(given) or 'neither audio nor text'}")
        return given[kind]

    def _instruct(
        self,
        task: str,
        items: Sequence[Sound],
        source: str | None,
        target: str | None,
        decoding: Decoding | Mapping[str, Any] | str | None,
    ) -> Instruction:
        """Resolve the task, the languages and the decoding method of `items`, and warn about texts."""
        wanted = self.task(task)
        if not isinstance(decoding, Decoding):
            decoding = resolve_decoding(self.run_config.registry, decoding or DEFAULT)
        method = self._loader.instance(decoding.method)
        instruction = Instruction(wanted, resolve_languages(wanted, source, target), method, decoding.limits)
        texts = check_texts(items) if get_input_kind(wanted) == "text" else []
        warn_about_texts(self.lm.text_tokenizer, [wanted.header(instruction.languages), *texts])
        return instruction

    def _prepare(
        self, instruction: Instruction, items: Sequence[Sound], voices: Sequence[Voice]
    ) -> tuple[Batch, float]:
        """Return a batch, and the seconds that it took to read and encode it."""
        start_s = time.perf_counter()
        batch = Batch.of(self.lm, instruction, self._reader.read(instruction.task, items, voices))
        return batch, time.perf_counter() - start_s

    def _answer(self, instruction: Instruction, name: str, ready: tuple[Batch, float], seed: int) -> list[Result]:
        start_s, (batch, took_s) = time.perf_counter(), ready
        answers = batch.answers(self.lm, instruction, seed)
        task, spoken = instruction.task, Spoken.of(instruction.task, self.lm.writes)
        codes = [
            None if spoken is None else spoken.join(a.audio, q.values)
            for q, a in zip(batch.requests, answers, strict=True)
        ]
        audios = self._speak(codes, [q.voice for q in batch.requests], seed)
        each_s = (took_s + time.perf_counter() - start_s) / len(answers)
        return [
            Result(q.name, name, _parse_texts(task, answer), audio, code, any(answer.cut), each_s, q.trimmed_s)
            for q, answer, audio, code in zip(batch.requests, answers, audios, codes, strict=True)
        ]

    def _speak(
        self, codes: Sequence[Codes | None], voices: Sequence[VoicePrompt | None], seed: int
    ) -> list[Audio | None]:
        spoken = [(c, voice) for c, voice in zip(codes, voices, strict=True) if c is not None]
        if not spoken:
            return [None] * len(codes)
        generator = torch.Generator().manual_seed(seed)
        audios = iter(self.vocoder.synthesize([c for c, _ in spoken], [v for _, v in spoken], generator=generator))
        return [None if c is None else next(audios) for c in codes]

    def _choose_voices(self, task: Task, voice: Sound | list[Sound] | None, count: int) -> list[Voice]:
        """Return the voice of each item. A missing vocoder is reported before any work."""
        if Spoken.of(task, self.lm.writes) is not None:
            _ = self.vocoder
        return choose_voices(task, self.run_config.vocoder, voice, count)


def load(path: str | Path | None = None, *, device: torch.device | str = "cpu", plugins: Sequence[str] = ()) -> System:
    """Load a checkpoint; see `areca.load`."""
    if path is None and not NANO.is_dir():
        raise ArecaError(
            f"this areca ships no checkpoint ({NANO} is missing): name a checkpoint, or make one with `make nano`"
        )
    return System(open_checkpoint(Path(path or NANO), plugins=tuple(plugins)), resolve_device(device))


def _check_streams(checkpoint: Checkpoint, lm: SpeechLM) -> None:
    """Refuse an LM whose layouts do not have the streams of the run's tokenizers and the run's pattern."""
    run = checkpoint.run
    pattern = Pattern.of(run.pattern)
    if (lm.layout.reads, lm.layout.writes, lm.layout.depth) != (run.lm.reads, run.lm.writes, run.lm.depth_size):
        raise InvalidArtifact(
            f"{checkpoint.directory}: its run reads {run.lm.reads!r}, writes {run.lm.writes!r} and has heads "
            f"{run.lm.heads!r}; the LM was trained with {lm.layout.reads!r}, {lm.layout.writes!r} and "
            f"{quote(lm.layout.depth or 'tied')}"
        )
    _check_vectors(checkpoint, lm.layout.vectors)
    if set(run.lm_streams) != set(lm.layouts):
        raise InvalidArtifact(
            f"{checkpoint.directory}: its run has the roles {', '.join(sorted(run.lm_streams))}, the LM was trained "
            f"with {quote(', '.join(sorted(lm.layouts)))}"
        )
    for role in run.lm_streams:
        layout = lm.layouts[role]
        if (layout.role, layout.streams) != (role, run.streams(role)):
            raise InvalidArtifact(
                f"{checkpoint.directory}: its tokenizer {role!r} makes {' + '.join(map(str, run.streams(role)))}, "
                f"the LM was made for {quote(' + '.join(map(str, layout.streams)))} of role {quote(layout.role)}"
            )
        if layout.pattern != pattern:
            raise InvalidArtifact(
                f"{checkpoint.directory}: its lm.pattern is {run.pattern.name!r} {dict(pattern.options) or ''}, the LM "
                f"was trained with {quote(layout.pattern and layout.pattern.to_json())}"
            )


def _check_vectors(checkpoint: Checkpoint, trained: VectorLayout | None) -> None:
    """Refuse an LM that reads units where the run reads vectors, or the reverse, or vectors of another shape."""
    run = checkpoint.run
    spec = run.tokenizers[run.lm.reads].spec
    adapter = run.lm.adapter if run.reads_vectors else None
    found = None if trained is None else trained.adapter
    if found != adapter or (trained is not None and spec.feature_size not in (None, trained.size)):
        raise InvalidArtifact(
            f"{checkpoint.directory}: its run has lm.read_as: {run.lm.read_as} (adapter {adapter}, vectors of "
            f"{spec.feature_size}), the LM was trained with {quote(trained or 'units')}"
        )


def _parse_texts(task: Task, answer: Generated) -> dict[str, str]:
    return {path: value for path, value in task.parse(answer.segments).items() if isinstance(value, str)}
