#!/usr/bin/env python3
"""
Records transformers' beam searches over test/fixtures/llama and models/demo as test/fixtures/beams.json: for each its model,
options (under the names of src/sampling/options/table.ts), the prompt, and the sequences that are returned with their ids
and scores, best first. "gap" is the smallest difference between two neighbours among the candidates of any step: of random
prompts the first with a gap above 1e-4 is taken.

usage: beams.py        (needs torch and transformers 5.17; the tests need neither)
"""
import json, os
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, logging
from transformers.generation.utils import GenerationMixin

logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = {"llama": f"{HERE}/../fixtures/llama", "demo": f"{HERE}/../../models/demo"}
PROMPT = "Once upon a time there was"

NAMES = {
    "numBeams": "num_beams", "maxNewTokens": "max_new_tokens", "lengthPenalty": "length_penalty", "earlyStopping": "early_stopping",
    "numReturnSequences": "num_return_sequences", "eosTokenIds": "eos_token_id", "repetitionPenalty": "repetition_penalty",
    "noRepeatNgramSize": "no_repeat_ngram_size", "minNewTokens": "min_new_tokens", "forcedEosTokenId": "forced_eos_token_id",
}
NO_END, BEAMS = {"eosTokenIds": []}, {"numBeams": 4, "maxNewTokens": 24}
CASES = [BEAMS | options for options in [
    NO_END,
    NO_END | {"numReturnSequences": 4},
    NO_END | {"numReturnSequences": 2, "lengthPenalty": 0.0},
    NO_END | {"numBeams": 3, "numReturnSequences": 3, "lengthPenalty": 2.0},
    NO_END | {"numReturnSequences": 4, "repetitionPenalty": 1.3, "noRepeatNgramSize": 3},
    NO_END | {"forcedEosTokenId": 1, "numReturnSequences": 4},
]] + [BEAMS | {"ends": ends, "numReturnSequences": 4, "lengthPenalty": penalty, "earlyStopping": early}
      for ends in (1, 3) for penalty in (0.0, 1.0, 2.0, -1.0) for early in (True, False, "never")]


class Gap:
    """The smallest distance between two neighbours among the candidates of any step."""

    def __enter__(self):
        self.gap, self.original, topk = 1e9, GenerationMixin._get_top_k_continuations, torch.topk
        gap = self

        def watched(model, accumulated_log_probs, *args, **kwargs):
            count = kwargs["beams_to_keep"]
            best = topk(accumulated_log_probs, k=count + 1)[0][0]
            best = best[best > -1e8]
            if len(best) > 1:
                gap.gap = min(gap.gap, float((best[:-1] - best[1:]).min()))
            return gap.original(model, accumulated_log_probs, *args, **kwargs)

        GenerationMixin._get_top_k_continuations = watched
        return self

    def __exit__(self, *_):
        GenerationMixin._get_top_k_continuations = self.original


@torch.no_grad()
def search(model, options, prompt):
    known = {NAMES[name]: value for name, value in options.items()}
    if not known["eos_token_id"]:
        known["eos_token_id"] = None
    config = GenerationConfig(pad_token_id=0, do_sample=False, return_dict_in_generate=True, output_scores=True, **known)
    row = torch.tensor([prompt])
    with Gap() as gap:
        out = model.generate(row, attention_mask=torch.ones_like(row), generation_config=config)
    sequences = []
    for ids, indices, score in zip(out.sequences.tolist(), out.beam_indices.tolist(), out.sequences_scores.tolist()):
        length = sum(index >= 0 for index in indices)
        sequences.append({"tokenIds": ids[len(prompt):len(prompt) + length], "score": round(score, 6)})
    return {"options": options, "promptIds": prompt, "gap": round(gap.gap, 7), "sequences": sequences}


def likely_ends(model, prompt, count):
    """Tokens that beams of this prompt often come to, so that some end early."""
    config = GenerationConfig(pad_token_id=0, do_sample=False, num_beams=4, num_return_sequences=4, max_new_tokens=24, eos_token_id=None)
    ids = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), generation_config=config)
    found = list(dict.fromkeys(ids[:, len(prompt) + 5:].flatten().tolist()))
    return found[:count]


def fair(model, options, prompts):
    for prompt in prompts:
        ends = options.get("ends")
        asked = {name: value for name, value in options.items() if name != "ends"}
        if ends is not None:
            asked["eosTokenIds"] = likely_ends(model, prompt, ends)
        made = search(model, asked, prompt)
        if made["gap"] > 1e-4:
            return made
    raise ValueError(f"no fair prompt for {options}")


def main():
    torch.manual_seed(6)
    out = []
    for name, folder in FOLDERS.items():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        model.generation_config = GenerationConfig(pad_token_id=0)
        vocab = model.config.vocab_size
        cases = CASES
        if name == "demo":
            cases = CASES[:2] + CASES[-4:-1]
            words = AutoTokenizer.from_pretrained(folder)(PROMPT)["input_ids"]
        for options in cases:
            random = (torch.randint(2, vocab, (int(torch.randint(3, 14, ())),)).tolist() for _ in range(500))
            texts = (words[: len(words) - cut] for cut in range(len(words) - 1)) if name == "demo" else random
            made = {"model": name} | fair(model, options, texts)
            print(made["gap"], name, made["options"], [len(each["tokenIds"]) for each in made["sequences"]])
            out.append(made)
    with open(f"{HERE}/../fixtures/beams.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(each) for each in out) + "\n]\n")


if __name__ == "__main__":
    main()
