"""ask, suggest, eval and calibrate: questions without a server."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from qa_service.answering.ask import Outcome
from qa_service.answering.no_cache import NoCache
from qa_service.cli.group import PATH, at_once, chosen_version, recipe_of, run, settings_in_force, verbs
from qa_service.domain.question import Question
from qa_service.domain.suggestion import Suggestion
from qa_service.domain.text import check_question, check_typed
from qa_service.knowledge.build import build
from qa_service.knowledge.calibrate import Bounds, calibrate
from qa_service.knowledge.evaluate import as_json, check_labels, evaluate, read_questions, table
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.recalibrate import quick_ranker, rank_under, with_calibration
from qa_service.main import make_ask, open_version, versions_of


@verbs.command("ask")
@click.argument("question")
@click.option("--json", "as_json_text", is_flag=True, help="print everything as JSON")
def ask_command(question: str, *, as_json_text: bool) -> None:
    """Ask the active index one question, without a server, and show the candidates."""
    settings = settings_in_force()
    snapshot = open_version(settings, chosen_version(versions_of(settings), None))
    ask = make_ask(snapshot, NoCache(), at_once)
    [outcome] = run(ask([Question(text=check_question(question))]))
    click.echo(msgspec.json.encode(outcome).decode() if as_json_text else _told(outcome))


@verbs.command("suggest")
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 20), default=8, show_default=True, help="suggestions at most")
@click.option("--locale", default="", help="prefer its language")
@click.option("--json", "as_json_text", is_flag=True, help="print everything as JSON")
def suggest_command(text: str, limit: int, locale: str, *, as_json_text: bool) -> None:
    """Suggest known questions of the active index for what has been typed so far, without a server."""
    settings = settings_in_force()
    snapshot = open_version(settings, chosen_version(versions_of(settings), None))
    suggestions = snapshot.suggest(check_typed(text, pointer="text"), limit, locale=locale)
    if as_json_text:
        click.echo(msgspec.json.encode(suggestions).decode())
        return
    for suggestion in suggestions:
        click.echo(f"{suggestion.match.value:9}  {_marked(suggestion)}  {suggestion.entry_id}")


@verbs.command("eval")
@click.option("--entries", required=True, multiple=True, type=PATH, help="what the bot knows (files or folders)")
@click.option("--questions", required=True, type=PATH, help="labelled questions, .jsonl or .jsonl.gz")
@click.option("--split", default="", help="only questions of this split")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="only the first so many questions")
@click.option("--json", "json_file", type=click.Path(path_type=Path), default=None, help="write the figures here too")
def eval_command(entries: tuple[Path, ...], questions: Path, split: str, limit: int, json_file: Path | None) -> None:
    """Measure how well questions find the right entries, and how well the bot decides."""
    settings = settings_in_force()
    labelled = read_questions(questions, split=split, limit=limit)
    reading = read_sources(entries)
    for problem in reading.problems:
        click.echo(problem, err=True)
    check_labels(labelled, frozenset(entry.id for entry in reading.entries))
    with tempfile.TemporaryDirectory(prefix="qa-eval-") as scratch:
        own = settings.model_copy(update={"indexes_dir": Path(scratch)})
        snapshot = open_version(own, build(reading, entries, versions_of(own), recipe_of(own)).version)
        evaluation = run(evaluate(labelled, make_ask(snapshot, NoCache(), at_once)))
    click.echo(table(evaluation))
    if json_file:
        made_of = {"entries": [path.name for path in entries], "questions": questions.name, "split": split}
        named = {"encoder": settings.encoder, "reranker": settings.reranker}
        text = json.dumps({**made_of, **named, **as_json(evaluation)}, ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")


@verbs.command("calibrate")
@click.option("--questions", required=True, multiple=True, type=PATH, help="labelled questions of this knowledge base")
@click.option("--precision", type=click.FloatRange(0.5, 1.0), default=0.95, show_default=True, help="of the answers")
@click.option(
    "--refusal", type=click.FloatRange(0.0, 1.0), default=0.8, show_default=True, help="of what is out of scope"
)
@click.option("--activate/--no-activate", default=True, help="let the new version answer (default)")
def calibrate_command(questions: tuple[Path, ...], precision: float, refusal: float, *, activate: bool) -> None:
    """Fit weights and thresholds on labelled questions, and make a new version of the active index with them."""
    settings = settings_in_force()
    versions = versions_of(settings)
    snapshot = open_version(settings, chosen_version(versions, None))
    labelled = [question for path in questions for question in read_questions(path)]
    check_labels(labelled, frozenset(snapshot.faq_entry(place).id for place in range(len(snapshot.faq.entries))))
    fitted = calibrate(
        labelled,
        lambda calibration, texts: rank_under(snapshot, calibration, texts),
        snapshot.calibration,
        Bounds(answer_precision=precision, refusal=refusal),
        name="+".join(path.name for path in questions),
        quick=quick_ranker(snapshot),
    )
    new = with_calibration(versions, snapshot, fitted.calibration)
    if activate:
        open_version(settings, new)
        versions.activate(new)
    click.echo(msgspec.json.format(msgspec.json.encode(fitted), indent=1).decode())
    click.echo(new)


def _marked(suggestion: Suggestion) -> str:
    """Show a suggestion with what matches in brackets."""
    shown, end = "", 0
    for begin, until in suggestion.highlight:
        shown += f"{suggestion.text[end:begin]}[{suggestion.text[begin:until]}]"
        end = until
    return shown + suggestion.text[end:]


def _told(outcome: Outcome) -> str:
    answer = outcome.answer
    lines = [answer.text, "", f"decision {outcome.decision.value}: {outcome.reason}"]
    lines += [f"  choice: {choice.question}" for choice in answer.choices]
    lines += _candidates(outcome)
    return "\n".join(lines)


def _candidates(outcome: Outcome) -> Sequence[str]:
    hits = outcome.ranking.hits[:5]
    rows = [
        f"{hit.probability:11.2f} {hit.reranked:8.2f} {hit.fused:5.2f} {hit.keyword:7.2f} {hit.vector:6.2f}  "
        f"{hit.entry_id}  ({hit.wording})"
        for hit in hits
    ]
    return ["probability reranked fused keyword vector  entry (wording)", *rows] if rows else []
