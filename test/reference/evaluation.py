"""Writes test/client/evaluation/reference.json: perplexities and log-likelihoods of the bundled model, as transformers computes them.

python evaluation.py                  needs torch, transformers
python evaluation.py --lm-eval        also compares the choices with lm-eval's own run (pip install lm-eval)
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models" / "demo"

TEXT = (
    "The great floodgates of the wonder-world swung open, and in the wild conceits that swayed me to my purpose, two and "
    "two there floated into my inmost soul, endless processions of the whale, and, mid most of them all, one grand hooded "
    "phantom, like a snow hill in the air. The President of the United States has communicated to both Houses of Congress "
    "the treaty of peace and commerce. Café, naïve — 42 ships were lost in the year 1839, and no more than seven of them "
    "were ever heard of again."
)
RECORDS = ["We the people of the United States.", TEXT[:150], "a"]
QUESTIONS = [
    {"context": "The President of the", "choices": ["United States", "banana republic", "Senate, who is"], "answer": 0},
    {"question": "We the people of the ", "choices": ["fish", "United States of America"], "answer": 1},
    {"context": "", "choices": ["Zyx qqq", "The Congress"], "answer": "The Congress"},
    {"context": "Question: What is the capital?\nAnswer:", "choices": ["Washington", "Öland, naïve", "I do not know"], "answer": 1},
    {"context": TEXT, "choices": ["The end", "and so on and so on and so on"], "answer": 0},
]
WINDOWS = [(64, 32), (64, 64), (50, 17), (1024, 512)]
PROMPTS = 3

torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(DEMO, dtype=torch.float32, attn_implementation="eager").eval()
tokenizer = AutoTokenizer.from_pretrained(DEMO)


def prompts():
    """Tuned prompts that both sides can make: before the text, and added to each block's input."""
    hidden, blocks = model.config.hidden_size, model.config.num_hidden_layers
    before = torch.sin(torch.arange(PROMPTS * hidden, dtype=torch.float64)).float().reshape(PROMPTS, hidden) * 0.1
    deep = torch.cos(torch.arange(blocks * PROMPTS * hidden, dtype=torch.float64)).float()
    return before, deep.reshape(blocks, PROMPTS, hidden) * 0.1


def token_losses(ids, tuned=False):
    """-log p of each id but the first."""
    embeds = model.get_input_embeddings()(torch.tensor([ids]))
    hooks = []
    if tuned:
        before, deep = prompts()
        embeds = torch.cat([before[None], embeds], dim=1)

        def add(block):
            def hook(_, args, kwargs):
                hidden = (args[0] if args else kwargs.pop("hidden_states")).clone()
                hidden[:, :PROMPTS] += deep[block]
                return (hidden, *args[1:]), kwargs

            return hook

        hooks = [layer.register_forward_pre_hook(add(i), with_kwargs=True) for i, layer in enumerate(model.model.layers)]
    with torch.no_grad():
        logits = model(inputs_embeds=embeds).logits[0, -len(ids) :]
    for hook in hooks:
        hook.remove()
    logprobs = logits.double().log_softmax(-1)
    return [-logprobs[i, id].item() for i, id in enumerate(ids[1:])]


def perplexity(texts, window, stride, tuned=False):
    """transformers' guide, https://huggingface.co/docs/transformers/perplexity, each token weighing the same."""
    total, count = 0.0, 0
    for text in texts:
        ids = tokenizer(text).input_ids
        seen = 0
        for begin in range(0, len(ids), stride):
            end = min(begin + window, len(ids))
            piece = ids[begin:end]
            if len(piece) > 1:
                losses = token_losses(piece, tuned)[max(0, seen - begin - 1) :]
                total += sum(losses)
                count += len(losses)
            seen = end
            if end == len(ids):
                break
    return {"perplexity": math.exp(total / count), "loss": total / count, "tokens": count}


def likelihoods(question):
    """lm-eval's encoding of a context and its continuation."""
    context = question.get("context", question.get("question"))
    found = []
    for choice in question["choices"]:
        continuation = " " + choice
        spaces = len(context) - len(context.rstrip())
        if spaces > 0:
            continuation = context[-spaces:] + choice
        before = tokenizer(context.rstrip()).input_ids
        whole = tokenizer(context.rstrip() + continuation).input_ids
        found.append(-sum(token_losses(whole)[len(before) - 1 :]))
    return found


def ask_lm_eval():
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.jsonl"
        rows = []
        for question in QUESTIONS:
            # lm-eval puts its delimiter behind every context, and takes the answer by its place.
            context = question.get("context", question.get("question")).rstrip()
            answer = question["answer"]
            answer = answer if isinstance(answer, int) else question["choices"].index(answer)
            rows.append({"context": context, "choices": question["choices"], "answer": answer})
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = {
            "task": "choices",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{context}}",
            "doc_to_choice": "choices",
            "doc_to_target": "answer",
            "metric_list": [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes")],
        }
        found = lm_eval.simple_evaluate(HFLM(pretrained=str(DEMO), device="cpu", dtype="float32"), tasks=[task])
    samples = sorted(found["samples"]["choices"], key=lambda sample: sample["doc_id"])
    scores = [[response[0] if not isinstance(response[0], (list, tuple)) else response[0][0] for response in sample["filtered_resps"]] for sample in samples]
    results = found["results"]["choices"]
    return {"logLikelihoods": scores, **{name: results[f"{name},none"] for name in ("acc", "acc_norm", "acc_bytes")}, "acc_stderr": results["acc_stderr,none"]}


golden = {
    "text": TEXT,
    "records": RECORDS,
    "questions": QUESTIONS,
    "numPrompts": PROMPTS,
    "perplexity": [
        *({"window": w, "stride": s, **perplexity([TEXT], w, s)} for w, s in WINDOWS),
        {"window": 64, "stride": 32, "records": True, **perplexity(RECORDS, 64, 32)},
        {"window": 64, "stride": 32, "prompts": True, **perplexity([TEXT], 64, 32, tuned=True)},
    ],
    "logLikelihoods": [likelihoods(question) for question in QUESTIONS],
}
if "--lm-eval" in sys.argv:
    golden["lmEval"] = ask_lm_eval()
(ROOT / "test" / "client" / "evaluation" / "reference.json").write_text(json.dumps(golden, indent=1) + "\n")
