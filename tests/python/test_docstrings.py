"""Examples run: docstrings, the python blocks of README.md and docs/, and the commands they name.

Owns: how a block is found and run. A python block runs in a process and home of its own. A block
that cannot run has `<!-- not run: reason -->` on the line before it and is counted as such.
"""

from __future__ import annotations

import doctest
import importlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest
from python_scripts import Scripts

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "finops"
DOCUMENTS = [
    path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.is_file()
]
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*?) -->")
MOST_NOT_RUN = 5  # examples that nobody runs rot; above this, make them runnable


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    where: str
    language: str
    text: str
    not_run: str


def fenced_blocks(name: str, text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, in order."""
    blocks = []
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        fence = re.fullmatch(r"(?P<indent> *)```(?P<language>\w*).*", lines[index])
        if fence is None:
            index += 1
            continue
        mark = NOT_RUN.search(lines[index - 1]) if index else None
        where = f"{name}:{index + 1}"
        body: list[str] = []
        index += 1
        while index < len(lines) and lines[index].strip() != "```":
            body.append(lines[index].removeprefix(fence["indent"]))
            index += 1
        if index == len(lines):
            raise ValueError(f"{where}: the block has no end")
        blocks.append(
            Block(where, fence["language"], "\n".join(body), mark["reason"] if mark else "")
        )
        index += 1
    return blocks


def all_blocks() -> list[Block]:
    return [
        block
        for path in DOCUMENTS
        for block in fenced_blocks(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    ]


def module_names() -> list[str]:
    """The modules of the package whose docstrings hold examples."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.parametrize("name", module_names() or ["finops"])
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0
    assert outcome.attempted > 0, f"{name} has examples that doctest does not find"


def test_the_core_has_a_docstring_for_what_users_call() -> None:
    """The names of finops.Run and finops.Money that users see say what they do."""
    import finops

    silent = [
        f"{kind.__name__}.{name}"
        for kind in (finops.Run, finops.Money)
        for name in dir(kind)
        if not name.startswith("_")
        and callable(getattr(kind, name))
        and name not in ("start", "finish")  # private: users call finops.init and finops.finish
        and not (getattr(kind, name).__doc__ or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize(
    "block",
    [block for block in all_blocks() if block.language == "python" and not block.not_run]
    or [Block("no document", "python", "", "")],
    ids=lambda block: block.where,
)
def test_a_python_block_runs(scripts: Scripts, block: Block) -> None:
    """The default lease terms hold here: the reader has no others."""
    scripts.run(
        block.text,
        FINOPS_LEASE_TERM="",
        FINOPS_CHECK_GAP="",
        FINOPS_STOP_TIME="",
        FINOPS_BILLING_QUANTUM="",
    )


def test_few_blocks_are_not_run() -> None:
    not_run = [f"{block.where}: {block.not_run}" for block in all_blocks() if block.not_run]
    assert len(not_run) <= MOST_NOT_RUN, not_run


def documented_commands() -> list[str]:
    """Commands that the documents name, in blocks and in prose: the text after `finops`."""
    found: list[str] = []
    for block in all_blocks():
        if block.language in ("bash", "sh", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ")
                if command.startswith("finops "):
                    found.append(command.removeprefix("finops "))
    for path in DOCUMENTS:
        prose = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found.extend(
            span.replace("\n", " ") for span in re.findall(r"`finops ([a-z][^`]*)`", prose)
        )
    return found


def split_command(command: str) -> tuple[tuple[str, ...], set[str]]:
    """The subcommand words and the options of a documented command; not what follows `--`."""
    words = shlex.split(command, comments=True)
    if "--" in words:
        words = words[: words.index("--")]
    subcommand: list[str] = []
    for word in words:
        if re.fullmatch(r"[a-z][a-z-]*", word) is None or len(subcommand) == 2:
            break
        subcommand.append(word)
    options = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
    return tuple(subcommand), options


# Asks for the help of many commands in one process: starting one for each takes seconds.
ASK_FOR_HELP = """
import contextlib, io, json, sys
from finops.cli.main import main
answers = []
for words in json.load(sys.stdin):
    output, code = io.StringIO(), 0
    sys.argv = ["finops", *words, "--help"]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            code = main() or 0
        except SystemExit as leaving:
            code = leaving.code or 0
    answers.append((code, output.getvalue()))
json.dump(answers, sys.stdout)
"""


def help_of(subcommands: list[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[int, str]]:
    """For each subcommand the exit code and the output of `finops SUBCOMMAND --help`."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK_FOR_HELP],
        input=json.dumps(subcommands),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"},
    )
    assert asked.returncode == 0, asked.stderr
    return dict(zip(subcommands, json.loads(asked.stdout), strict=True))


def test_documented_commands_exist() -> None:
    """Each `finops ...` of the documents answers --help, which names the options that are used."""
    if not (PACKAGE / "cli" / "main.py").is_file():
        return  # there is no command line to ask
    commands = {command: split_command(command) for command in documented_commands()}
    helps = help_of(list(dict.fromkeys([words for words, _ in commands.values()])))
    wrong = []
    for command, (words, options) in commands.items():
        code, output = helps[words]
        if code != 0:
            wrong.append(f"finops {command}: exit {code}: {output[-300:]}")
        wrong.extend(
            f"finops {command}: {option} is not in its --help"
            for option in sorted(options - {"--help"})
            if option not in output
        )
    assert wrong == []
    unknown = help_of([("frobnicate",)])[("frobnicate",)]
    assert unknown[0] == 2, unknown  # so that the check above can fail at all


def test_the_finder_finds_blocks_and_reasons() -> None:
    """Invalid beside valid: an unmarked, a marked, an indented and an unended block."""
    text = "a\n```python\n1\n```\n<!-- not run: needs a GPU -->\n```python\n2\n```\n"
    assert [(block.text, block.not_run) for block in fenced_blocks("x", text)] == [
        ("1", ""),
        ("2", "needs a GPU"),
    ]
    assert fenced_blocks("x", "- item\n  ```bash\n  finops ps\n  ```\n")[0].text == "finops ps"
    assert fenced_blocks("x", "<!-- not run: -->\n```python\n3\n```\n")[0].not_run == ""
    with pytest.raises(ValueError, match="x:1"):
        fenced_blocks("x", "```python\n1\n")


def test_the_splitter_reads_commands() -> None:
    assert split_command('budget request v/r "20 USD" --why "x"') == (
        ("budget", "request"),
        {"--why"},
    )
    assert split_command("run --project p -- python --help") == (("run",), {"--project"})
    assert split_command("guard   # stops what is silent") == (("guard",), set())
