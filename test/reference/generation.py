#!/usr/bin/env python3
"""
Records what transformers makes of logits and of the tiny checkpoint test/fixtures/llama, as test/fixtures/generation.json:
  logits: rows of made-up logits [vocab]
  processed: for each case its options (under the names of src/sampling/options/table.ts), the prompt's length, all ids so
    far, and what the processors made of each row: logits where no distribution is drawn from, else probabilities; null is
    -Infinity
  texts: greedy generations over the checkpoint: options, prompt, new ids, and the smallest gap between the two best
    processed logits; of random prompts the first whose text is long, changed by the options and clear (a gap of 5e-3)

usage: generation.py        (needs torch and transformers 5.17; the tests need neither)
"""
import json, math, os
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers import logging

logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../fixtures")
VOCAB, EOS = 64, [1, 7]

NAMES = {
    "doSample": "do_sample", "temperature": "temperature", "topK": "top_k", "topP": "top_p", "minP": "min_p",
    "typicalP": "typical_p", "repetitionPenalty": "repetition_penalty", "noRepeatNgramSize": "no_repeat_ngram_size",
    "sequenceBias": "sequence_bias", "badWordsIds": "bad_words_ids", "suppressTokens": "suppress_tokens",
    "beginSuppressTokens": "begin_suppress_tokens", "forcedBosTokenId": "forced_bos_token_id",
    "forcedEosTokenId": "forced_eos_token_id", "minLength": "min_length", "minNewTokens": "min_new_tokens",
    "maxNewTokens": "max_new_tokens", "eosTokenIds": "eos_token_id", "numBeams": "num_beams",
}


class CountPenalties(LogitsProcessor):
    """OpenAI's formula, which transformers does not have: on the tokens of the answer."""

    def __init__(self, prompt_length, presence, frequency):
        self.prompt_length, self.presence, self.frequency = prompt_length, presence, frequency

    def __call__(self, input_ids, scores):
        counts = torch.zeros_like(scores).scatter_add(1, input_ids[:, self.prompt_length:], torch.ones_like(input_ids[:, self.prompt_length:], dtype=scores.dtype))
        return scores - counts * self.frequency - (counts > 0).to(scores.dtype) * self.presence


def config_of(options):
    """transformers' GenerationConfig; a logit bias is a sequence bias of single tokens."""
    known = {NAMES[name]: value for name, value in options.items() if name in NAMES}
    known.setdefault("top_k", 0)
    bias = [[[int(token)], float(value)] for token, value in options.get("logitBias", {}).items()]
    if bias:
        known["sequence_bias"] = known.get("sequence_bias", []) + bias
    return GenerationConfig(pad_token_id=0, **known)


def custom(options, prompt_length):
    presence, frequency = options.get("presencePenalty", 0), options.get("frequencyPenalty", 0)
    return LogitsProcessorList([CountPenalties(prompt_length, presence, frequency)] if presence or frequency else [])


def plain(rows):
    return [[None if math.isinf(value) else float(f"{value:.7g}") for value in row] for row in rows.tolist()]


def processed(model, rows, options, ids, prompt_length):
    """What generate() would make of the rows, by its own list of processors."""
    config = config_of({"maxNewTokens": 20, "eosTokenIds": EOS} | options)
    config.max_length = prompt_length + config.max_new_tokens
    model._prepare_special_tokens(config, True, device="cpu")
    processors = model._get_logits_processor(config, prompt_length, None, None, custom(options, prompt_length), "cpu", {})
    scores = processors(torch.tensor([ids] * len(rows)), rows.clone())
    return torch.softmax(scores.double(), -1) if options.get("doSample") else scores


IDS = [5, 9, 12, 5, 9, 30, 41, 5, 9]  # prompt of 4: the answer is 9, 30, 41, 5, 9
CASES = [
    {"doSample": True},
    {"doSample": True, "temperature": 0.5},
    {"doSample": True, "temperature": 1.7},
    {"doSample": True, "topK": 5},
    {"doSample": True, "topP": 0.8},
    {"doSample": True, "topP": 0.0},
    {"doSample": True, "minP": 0.1},
    {"doSample": True, "typicalP": 0.3},
    {"doSample": True, "typicalP": 0.9},
    {"doSample": True, "temperature": 0.7, "topK": 20, "topP": 0.9, "minP": 0.05, "typicalP": 0.8},
    {"doSample": True, "temperature": 1.3, "topK": 3, "topP": 0.2, "minP": 0.5, "typicalP": 0.2, "numBeams": 2},
    {"doSample": True, "typicalP": 0.05, "numBeams": 2},
    {"repetitionPenalty": 1.3},
    {"repetitionPenalty": 0.8},
    {"presencePenalty": 0.7},
    {"frequencyPenalty": 0.4},
    {"presencePenalty": -0.5, "frequencyPenalty": 1.1},
    {"noRepeatNgramSize": 1},
    {"noRepeatNgramSize": 2},
    {"noRepeatNgramSize": 3},
    {"noRepeatNgramSize": 10},
    {"logitBias": {"3": 2.5, "9": -100.0}},
    {"sequenceBias": [[[5, 9, 17], 3.0], [[9, 17], -1.5], [[6, 9, 18], 4.0], [[20], 0.5]]},
    {"badWordsIds": [[11], [9, 14], [8, 15], [7], [5, 9, 16]]},
    {"suppressTokens": [2, 60]},
    {"beginSuppressTokens": [2, 60]},
    {"minNewTokens": 6},
    {"minNewTokens": 5},
    {"minLength": 10},
    {"minLength": 9},
    {"maxNewTokens": 6, "forcedEosTokenId": 1},
    {"maxNewTokens": 6, "forcedEosTokenId": [1, 7]},
    {"forcedBosTokenId": 4},
    {"repetitionPenalty": 1.2, "noRepeatNgramSize": 3, "sequenceBias": [[[9], 1.0]], "badWordsIds": [[30]], "minNewTokens": 9, "suppressTokens": [3]},
    {"doSample": True, "temperature": 0.8, "topK": 30, "topP": 0.95, "repetitionPenalty": 1.2, "noRepeatNgramSize": 3,
     "logitBias": {"9": 2.0, "50": -1.0}, "badWordsIds": [[30], [9, 33]], "minNewTokens": 9, "suppressTokens": [3]},
]
AT_BEGIN = [{"beginSuppressTokens": [2, 60]}, {"forcedBosTokenId": 4}, {"minNewTokens": 1}, {"presencePenalty": 2.0}, {"noRepeatNgramSize": 1}]
AT_ONE = [{"forcedBosTokenId": 4}, {"forcedBosTokenId": 4, "beginSuppressTokens": [4]}, {"beginSuppressTokens": [5]}, {"noRepeatNgramSize": 2}]

TEXTS = [
    {},
    {"repetitionPenalty": 1.3},
    {"noRepeatNgramSize": 2},
    {"presencePenalty": 1.5, "frequencyPenalty": 0.5},
    {"badWordsIds": [[93], [60, 17], [5, 5]], "suppressTokens": [9, 10]},
    {"logitBias": {"17": 3.0, "90": -5.0}},
    {"forcedEosTokenId": 1, "beginSuppressTokens": [4, 5]},
    {"repetitionPenalty": 1.15, "noRepeatNgramSize": 3, "sequenceBias": [[[20], 1.5]], "minNewTokens": 12},
]


class SmallestGap(LogitsProcessor):
    def __init__(self):
        self.gap = math.inf

    def __call__(self, input_ids, scores):
        best = scores.topk(2, -1).values[0]
        if torch.isfinite(best[1]):
            self.gap = min(self.gap, float(best[0] - best[1]))
        return scores


@torch.no_grad()
def text(model, options, prompt, new):
    gap = SmallestGap()
    row = torch.tensor([prompt])
    config = config_of({"maxNewTokens": new, "eosTokenIds": [1]} | options)
    ids = model.generate(row, attention_mask=torch.ones_like(row), generation_config=config,
                         logits_processor=custom(options, len(prompt)) + LogitsProcessorList([gap]))
    return {"options": {"maxNewTokens": new} | options, "promptIds": prompt, "tokenIds": ids[0, len(prompt):].tolist(), "gap": round(gap.gap, 6)}


def fair_text(model, options):
    for _ in range(200):
        prompt = torch.randint(2, 128, (int(torch.randint(4, 16, ())),)).tolist()
        made, plainly = text(model, options, prompt, 24), text(model, {}, prompt, 24)
        if made["gap"] > 5e-3 and len(made["tokenIds"]) > 12 and (not options or made["tokenIds"] != plainly["tokenIds"]):
            return made
    raise ValueError(f"no fair prompt for {options}")


def main():
    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_pretrained(f"{FIXTURES}/llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config = GenerationConfig(pad_token_id=0)
    rows = torch.stack([torch.randn(VOCAB) * scale for scale in (0.3, 1.5, 4.0)])
    cases = [(options, 4, IDS) for options in CASES] + [(options, 4, IDS[:4]) for options in AT_BEGIN] + [(options, 1, IDS[:1]) for options in AT_ONE]
    out = {
        "eosTokenIds": EOS,
        "logits": plain(rows),
        "processed": [{"options": options, "promptLength": length, "ids": ids, "rows": plain(processed(model, rows, options, ids, length))}
                      for options, length, ids in cases],
        "texts": [fair_text(model, options) for options in TEXTS],
    }
    for entry in out["texts"]:
        print(entry["gap"], entry["options"], entry["tokenIds"])
    with open(f"{FIXTURES}/generation.json", "w") as file:
        file.write("{\n" + ",\n".join(f'"{key}": ' + ("[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]" if isinstance(value, list) else json.dumps(value)) for key, value in out.items()) + "\n}\n")


if __name__ == "__main__":
    main()
