"""Renders templates as transformers does (jinja2 in its own setup) and stores the texts.

Usage: templates.py, from anywhere; needs transformers 5.17 and jinja2 3.1. Writes snippets.json and models.json in
test/client/chat/template; null stands for an error.
"""

import json
from datetime import datetime
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

from template_snippets import VARIABLES, snippets

FOLDER = Path(__file__).parents[1] / "client" / "chat" / "template"
NOW = datetime(2026, 3, 5, 14, 7, 9)

SYSTEM = {"role": "system", "content": "Be terse.\n"}
USER = {"role": "user", "content": "What is 2 + 2? <b>\"é\"</b> 😀"}
ANSWER = {"role": "assistant", "content": "<think>\nadd them\n</think>\n\n    four = '4'\n"}
MORE = {"role": "user", "content": "  And 3 + 3?  "}
CONVERSATIONS = [[USER], [SYSTEM, USER], [USER, ANSWER, MORE], [SYSTEM, USER, ANSWER, MORE], [ANSWER], [USER, MORE]]


def rendered(template, variables):
    try:
        compiled = _compile_jinja_template(template)
        compiled.environment.globals["strftime_now"] = NOW.strftime
        compiled.globals["strftime_now"] = NOW.strftime
        return compiled.render(**variables)
    except Exception as error:
        print(f"{type(error).__name__}: {error}  <- {template[:60]!r}")
        return None


def write(name, value):
    (FOLDER / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def model_variables(messages):
    given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True}
    return {**given, "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


cases = [[text, rendered(text, VARIABLES)] for text in snippets()]
write("snippets.json", {"variables": VARIABLES, "cases": cases})
models = {
    path.stem: [rendered(path.read_text(), model_variables(messages)) for messages in CONVERSATIONS]
    for path in sorted((FOLDER / "models").glob("*.jinja"))
}
write("models.json", {"conversations": CONVERSATIONS, "models": models})
print(len(cases), "snippets,", len(models), "models")
