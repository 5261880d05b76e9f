"""Tables and pages agree with the results."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import ROOT
from tests.scoring import METRICS, scored

from areca.audio import write
from areca.errors import InvalidArtifact
from areca.evaluation.comparison import compare_cells
from areca.evaluation.evaluate import question_path
from areca.evaluation.folder import RESULTS
from areca.evaluation.listening import INLINE_BYTES, Example, Line, Player, render_page
from areca.evaluation.report import CEILING, SCORES, SPEED, build_tables, write_report
from areca.evaluation.results import ResultRow, write_results
from areca.statistics import wilson
from areca.types import Audio

HEADERS = ("exact %", "WER %", "CER %", "BLEU", "chrF")


def rows_of(
    number: int,
    *,
    right: bool,
    heard: bool = True,
    source: str = "human",
    language: str = "fr",
    judge: str | None = "ear",
    text_language: str = "en",
) -> list[ResultRow]:
    """The rows of one example of ``s2st``, its ceiling and its times; of ``ast`` where there is no judge."""
    answer, truth = ("two p m" if right else "five"), ("2 pm" if heard else "nine")
    common = {
        "id": f"{source}-{language}-{number}",
        "task": "s2st" if judge else "ast",
        "field": "target.audio" if judge else "target.text",
        "language": language,
        "text_language": text_language,
        "source": source,
        "judge": judge,
        "audio": f"audio/s2st/{source}-{language}-{number}.flac" if judge else None,
    }

    def row(of: str, metric: str, hypothesis: str) -> ResultRow:
        other = common | {"of": of} | ({"audio": None} if of == "truth" else {})
        return scored(METRICS[metric], hypothesis, "2:00 p.m.", normaliser="spoken-values", **other)

    def time(metric: str, value: float) -> ResultRow:
        nothing = {"counts": (), "hypothesis": "", "reference": "", "normaliser": "", "component": {}}
        return ResultRow(**common | nothing, of="output", metric=metric, value=value, signature="wall clock")  # type: ignore[arg-type]

    rows = [row("output", metric, answer) for metric in METRICS]
    if judge:
        rows += [row("truth", metric, truth) for metric in METRICS]
        rows += [time("compute_s", 0.5), time("speech_s", 2.0)]
    return rows


def cells(rows: list[ResultRow]) -> dict[tuple[str, ...], dict[str, str]]:
    table = build_tables(rows)[0]
    return {line[:5]: dict(zip(table.header, line, strict=True)) for line in table.rows}


def test_scores_are_by_source_and_language_and_together() -> None:
    rows = [r for n in range(8) for r in rows_of(n, right=n < 6)]
    rows += [r for n in range(4) for r in rows_of(n, right=n < 1, language="es")]
    rows += [r for n in range(5) for r in rows_of(n, right=True, source="synthetic")]
    found = cells(rows)
    head = ("s2st", "target.audio", "ear")
    assert list(found) == [
        (*head, "human", "fr"),
        (*head, "human", "es"),
        (*head, "human", "all"),
        (*head, "synthetic", "fr"),
    ]
    for key, right, n in (("fr", 6, 8), ("es", 1, 4), ("all", 7, 12)):
        cell = found[*head, "human", key]
        share = wilson(right, n)
        assert cell["n"] == str(n)
        assert cell["exact %"] == f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    assert found[*head, "human", "all"]["WER %"].startswith(
        f"{100 * 5 / 12:.1f} ["
    )  # 3 of 3 words wrong, 5 times of 12
    assert found[*head, "synthetic", "fr"]["BLEU"].startswith("0.0")  # three words have no 4-grams
    assert found[*head, "synthetic", "fr"]["chrF"] == "100.0 [100.0, 100.0]"


def test_the_ceiling_is_computed_on_the_same_examples() -> None:
    rows = [r for n in range(10) for r in rows_of(n, right=n < 6, heard=n < 8)]
    table = build_tables(rows)[0]
    assert table.header == (*SCORES, *HEADERS, *CEILING)
    cell = dict(zip(table.header, table.rows[0], strict=True))
    assert cell["ceiling %"] == "80.0"
    assert cell["of ceiling %"].startswith("75.0 [")
    assert any("same judge" in note for note in table.notes)


def test_text_tasks_have_neither_ceiling_nor_speed() -> None:
    made = build_tables([r for n in range(3) for r in rows_of(n, right=True, judge=None)])
    assert len(made) == 1 and made[0].header == (*SCORES, *HEADERS)
    assert made[0].rows[0][:6] == ("ast", "target.text", "", "human", "fr", "3")


def test_speed_is_the_ratio_of_the_sums() -> None:
    table = build_tables([r for n in range(4) for r in rows_of(n, right=True)])[1]
    assert table.header == SPEED
    assert table.rows == [("s2st", "human", "fr", "4", "0.250 [0.250, 0.250]", "2.00")]


def test_notes_name_the_normaliser_every_signature_and_which_way_is_better() -> None:
    notes = "\n".join(build_tables(rows_of(1, right=True))[0].notes)
    assert "normalised by `spoken-values/2`" in notes
    assert all(f"`{metric.signature('en')}`" in notes for metric in METRICS.values())
    assert "compute_s" not in notes and "wall clock" not in notes
    assert "Higher is better: exact %, BLEU, chrF." in notes and "Lower is better: WER %, CER %." in notes


def test_answers_scored_by_another_version_are_never_pooled() -> None:
    rows = rows_of(1, right=True)
    older = [dataclasses.replace(r, id="2", signature=r.signature.replace("jiwer:", "jiwer:0.")) for r in rows]
    table = build_tables(rows + older)[0]
    [cell] = cells(rows + older).values()
    assert (cell["WER %"], cell["n"]) == ("", "2") and cell["exact %"] != ""
    assert any("WER % is empty where answers were scored in different ways" in note for note in table.notes)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"component": {"name": "lab:lab/snr"}}, "no metric is called 'lab:lab/snr'"),
        ({"signature": "chrf/0|x"}, "scored by chrf/0, installed is chrf/1: repeat the `areca evaluate` that scored"),
        ({"component": {"name": "bleu", "tokenise": "char"}}, "no option is called 'tokenise'"),
    ],
)
def test_without_its_metric_a_column_is_the_mean_of_the_examples(change: dict[str, object], why: str) -> None:
    rows = [r for n in range(4) for r in rows_of(n, right=n < 3, judge=None)]
    chrf = [r for r in rows if r.metric == "chrf"]
    strange = [dataclasses.replace(r, metric="snr", value=n, **change) for n, r in enumerate(chrf)]  # type: ignore[arg-type]
    table = build_tables(rows + strange)[0]
    assert table.header == (*SCORES, *HEADERS, "snr (mean)")
    assert table.rows[0][-1] == "1.5"
    [note] = [note for note in table.notes if note.startswith("`snr`: the mean of the examples' scores")]
    assert why in note and note.endswith("areca -p ./PLUGIN.py report DIR")


def test_columns_are_those_of_the_results_in_their_order() -> None:
    rows = [r for n in range(4) for r in rows_of(n, right=n < 3, judge=None)]
    wanted = cells(rows)
    assert build_tables(rows[::-1])[0].header == (*SCORES, *HEADERS[::-1])
    assert cells(rows[::-1]) == wanted
    [without] = cells([r for r in rows if r.metric != "wer"]).values()
    [cell] = wanted.values()
    assert without == {header: value for header, value in cell.items() if header != "WER %"}


def zh_rows() -> list[ResultRow]:
    texts = ("今天天气非常好我们去公园吧", "今天天气非常好我们回家里吧")
    common = {"task": "ast", "field": "target.text"}
    rows = [
        scored(metric, "a b c d", "a b c d", id=str(n), text_language="en", **common)
        for n in range(3)
        for metric in METRICS.values()
    ]
    return rows + [scored(metric, *texts, text_language="zh", **common) for metric in METRICS.values()]


def test_languages_without_spaces_have_their_own_words_and_no_pooled_bleu() -> None:
    found = {key[4]: cell for key, cell in cells(zh_rows()).items()}
    assert float(found["zh"]["BLEU"].split()[0]) > 40  # 3 of 13 characters are wrong
    assert found["all"]["BLEU"] == "" and found["all"]["CER %"] != ""
    notes = "\n".join(build_tables(zh_rows())[0].notes)
    assert "Chinese (zh): written without spaces" in notes and "so read CER" in notes
    assert "BLEU is empty" in notes and "tok:char" in notes and "tok:13a" in notes
    assert "so read CER" not in "\n".join(build_tables(rows_of(1, right=True))[0].notes)


@pytest.mark.parametrize("which", ["rows", "study_rows"])
def test_figures_equal_those_of_the_version_before_metrics_were_components(which: str) -> None:
    """The file holds what the report, and the study's table, said when the five metrics were part of core."""
    before = json.loads((ROOT / "tests" / "data" / "scores" / "before.json").read_text(encoding="utf-8"))
    answers = before["answers"]
    first = fixture_rows(answers)
    second = fixture_rows([a | {"hypothesis": text} for a, text in zip(answers, before["second"], strict=True)])
    if which == "rows":
        table, header, places = build_tables(first)[0], before["header"], slice(None)
        values = {f"{r.id}|{r.judge or ''}|{r.of}|{r.metric}": r.value for r in first}
        expected = {f"{key}|{name}": v for key, row in before["values"] for name, v in zip(METRICS, row, strict=True)}
        assert values == expected
    else:
        table = compare_cells({"one": {0: first, 1: second}, "other": {0: second}})
        header, places = before["study_header"], slice(-1)  # the study's table had no chrF
    assert list(table.header[places]) == header
    found = [[cell.partition(", p = ")[0].partition(", n.s.")[0] for cell in row[places]] for row in table.rows]
    assert found == before[which]


def fixture_rows(answers: list[dict[str, Any]]) -> list[ResultRow]:
    rows = []
    for answer in answers:
        spoken = answer["judge"] is not None
        common = {
            "id": answer["id"],
            "task": "s2st" if spoken else "asr",
            "field": "target.audio" if spoken else "source.text",
            "text_language": answer["language"],
            **{name: answer[name] for name in ("language", "source", "judge")},
        }
        for of, text in (("output", answer["hypothesis"]), ("truth", answer["truth"])):
            if text is not None:
                rows += [scored(metric, text, answer["reference"], of=of, **common) for metric in METRICS.values()]
    return rows


def test_markdown_has_as_many_cells_in_every_line() -> None:
    text = build_tables(rows_of(1, right=True, source="hu|man"))[0].markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "hu\\|man" in text


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_is_written_and_can_be_heard(tmp_path: Path) -> None:
    rows = list(itertools.chain.from_iterable(rows_of(n, right=n != 1) for n in range(6)))
    write_results(tmp_path / RESULTS, rows)
    for row_id in ("human-fr-0", "human-fr-1"):
        for relative in (question_path(row_id), f"audio/s2st/{row_id}.flac"):
            (tmp_path / relative).parent.mkdir(parents=True, exist_ok=True)
            write(tmp_path / relative, Audio(torch.linspace(-1, 1, 800)[None], 8000))
    made = write_report(tmp_path)
    assert [t.title for t in made] == ["Scores", "Speed"]
    assert (tmp_path / "report.md").read_text() == "\n".join(t.markdown() for t in made)
    page = _Page((tmp_path / "index.html").read_text())
    assert "ear heard: two p m" in page.text and "ear heard: five" in page.text
    assert len(page.sources) == 4
    whole = (tmp_path / "audio/s2st/human-fr-0.flac").read_bytes()
    assert base64.b64decode(page.sources[1].removeprefix("data:audio/flac;base64,")) == whole


def test_large_recordings_stay_files_and_text_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a b.wav").write_bytes(b"x" * (INLINE_BYTES + 1))
    example = Example("<1> & more", (Player("a", Path("a b.wav"), (Line("<i>"),)), Player("gone", Path("no.wav"), ())))
    text = render_page("T", [("<t>", ("a&b",), [("<c>",)], ("<n>",))], [example], tmp_path, "<intro>")
    page = _Page(text)
    assert page.sources == ["a%20b.wav"]
    for said in ("<1> & more", "<i>", "<t>", "a&b", "<c>", "<n>", "<intro>"):
        assert said in page.text
    assert "gone" not in page.text
    assert "not decodable, length unknown" in page.text


def test_results_need_no_normaliser_and_state_the_one_they_had(tmp_path: Path) -> None:
    rows = [dataclasses.replace(row, normaliser="gone/3") for row in rows_of(1, right=True, judge=None)]
    write_results(tmp_path / RESULTS, rows)
    assert any("normalised by `gone/3`" in note for note in write_report(tmp_path)[0].notes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": "1"}, "value: expected float, got '1'"),
        ({"value": float("nan")}, "NaN is not a number of JSON"),
        ({"value": True}, "value: expected float, got True"),
        ({"id": None}, "id: expected str, got None"),
        ({"judge": ["x"]}, r"judge: expected str \| None, got \['x'\]"),
        ({"counts": ["1"]}, r"counts: expected numbers, got \['1'\]"),
        ({"counts": 1}, "'int' object is not iterable"),
        ({"component": "bleu"}, r"component: expected Mapping\[str, Any\], got 'bleu'"),
        ({"audio": "../../secret.wav"}, "audio: expected a path below audio/, got '../../secret.wav'"),
        ({"audio": "/secret.wav"}, "audio: expected a path below audio/"),
        ({"audio": "audio/../../secret.wav"}, "audio: expected a path below audio/"),
    ],
)
def test_results_are_read_strictly(tmp_path: Path, change: dict[str, object], says: str) -> None:
    rows = rows_of(1, right=True)
    write_results(tmp_path / RESULTS, rows)
    with (tmp_path / RESULTS).open("a") as file:
        file.write(json.dumps(dataclasses.asdict(rows[0]) | change) + "\n")
    with pytest.raises(InvalidArtifact, match=rf"results\.jsonl:{len(rows) + 1}: not a result \({says}") as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / RESULTS).write_text("[" * 100_000)
    with pytest.raises(InvalidArtifact, match=r"results\.jsonl:1: not a result"):
        write_report(tmp_path)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifact, match=r"no results there; make them with: areca evaluate CHECKPOINT -o"):
        write_report(tmp_path)
    (tmp_path / RESULTS).write_text('{"id": "x"}\n')
    with pytest.raises(InvalidArtifact, match=r"results\.jsonl:1: not a result"):
        write_report(tmp_path)
