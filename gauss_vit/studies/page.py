"""Renders a study as one HTML file in the style of the report, which loads nothing and runs nothing."""

import base64
import html
from collections.abc import Sequence
from importlib import resources

from matplotlib.figure import Figure

from gauss_vit.escaping import escaped
from gauss_vit.plots.canvas import encode
from gauss_vit.studies.plan import study_command
from gauss_vit.studies.summary import Summary
from gauss_vit.studies.tables import NOTES, Table, main_tables, other_tables, verdicts


def render(summary: Summary, figures: Sequence[tuple[str, Figure]]) -> str:
    """Renders the page.

    Args:
      summary: the study.
      figures: titles and figures, the results first.
    """
    (first_title, first), *others = figures
    sections = [
        _section(first_title, _claims(summary) + _picture(first, first_title)),
        *(_section(table.title, _table(table)) for table in main_tables(summary)),
        *(_section(title, _picture(figure, title)) for title, figure in others),
        *(_section(table.title, _table(table)) for table in other_tables(summary)),
        _section("How to read it", f'<ul class="claims">{"".join(f"<li>{_text(note)}</li>" for note in NOTES)}</ul>'),
        _section("Command", f"<pre>{_text(study_command(summary.plan))}</pre>"),
    ]
    style = "\n".join(
        (resources.files(room) / "page.css").read_text(encoding="utf-8")
        for room in ("gauss_vit.inspect.report", "gauss_vit.studies")
    )
    content = {
        "title": _text(summary.study.title),
        "style": style,
        "facts": "".join(
            f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in _facts(summary)
        ),
        "content": "\n".join(sections),
    }
    template = (resources.files("gauss_vit.studies") / "page.html").read_text(encoding="utf-8")
    head, *rest = template.split("{{")
    parts = [part.partition("}}") for part in rest]
    return head + "".join(content[name] + text for name, _, text in parts)


def _facts(summary: Summary) -> list[tuple[str, str]]:
    study, results = summary.study, summary.results
    revisions = sorted({result.revision for result in results if result.revision})
    return [
        ("Arms", str(len(study.arms))),
        ("Seeds", str(len(study.seeds))),
        ("Finished runs", f"{len(results)} of {len(summary.plan.runs)}"),
        ("Measured", f"{study.metric}, {study.weights} weights"),
        ("Compared with", study.baseline),
        ("Machine", ", ".join(sorted({result.machine for result in results}))),
        ("Code", ", ".join(revision[:20] for revision in revisions) or "unknown"),
    ]


def _claims(summary: Summary) -> str:
    found = [f"<li>{_text(line)}</li>" for line in verdicts(summary)]
    for word, names in (
        ("not finished", summary.missing),
        ("diverged", summary.diverged),
    ):
        found += [f'<li class="missing">{word}: {_text(", ".join(names))}</li>'] if names else []
    return f'<ul class="claims">{"".join(found)}</ul>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>"


def _picture(figure: Figure, title: str) -> str:
    encoded = base64.b64encode(encode(figure, "png")).decode("ascii")
    return f'<img class="picture" alt="{_text(title)}" src="data:image/png;base64,{encoded}">'


def _table(table: Table) -> str:
    kinds = [_kind(column) for column in zip(*table.rows, strict=True)]
    head = "".join(f'<th scope="col"{kind}>{_text(cell)}</th>' for kind, cell in zip(kinds, table.heading, strict=True))
    rows = "".join(_row(row, kinds) for row in table.rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(row: Sequence[str], kinds: Sequence[str]) -> str:
    cells = "".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(kinds[1:], row[1:], strict=True))
    return f'<tr><th scope="row">{_text(row[0])}</th>{cells}</tr>'


def _kind(column: Sequence[str]) -> str:
    """Returns the class of a column of words, which are aligned at the left."""
    return ' class="words"' if any(cell[:1].isalpha() for cell in column) else ""


def _text(text: str) -> str:
    return html.escape(escaped(text))
