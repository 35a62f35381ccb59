"""Tiny tokenizers whose tokens stand in several files, with what transformers' AutoTokenizer makes of them.

usage: tokens.py      writes test/fixtures/tokens.json: a list of cases, each the contents of its files by their names, ids of texts,
                      and the text of each id with and without special tokens
"""
import json
import pathlib
import random
import tempfile

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "tokens.json"
CASES = 40
LETTERS = "abcdehilmnorsuxNAMEX<>|_/[]Ġ"
MERGES = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "hello")]
WORDS = ["<s>", "</s>", "<im>", "<|end|>", "<x>", "NAME", "[x]", "<un>", "hello", "<|en", "<b>"]
TEXTS = ["<s>hello <|end|> he\nis<|end|> </s>", "a <x> b<x>c  <im>  d", "NAME is name and [X] or [x] <un>", "hello hello<b> <|en <|ending", "ab   <|end|>   cd"]
FLAGS = ("lstrip", "rstrip", "normalized", "special")


def token(r, content):
    return dict(content=content, single_word=False, **{flag: r.random() < (0.5 if flag == "special" else 0.3) for flag in FLAGS})


def without_special(values):
    return {key: value for key, value in values.items() if key != "special"}


def named(r, content):
    return content if r.random() < 0.7 else dict(__type="AddedToken", **without_special(token(r, content)))


def files_of(r):
    vocab = {letter: i for i, letter in enumerate(LETTERS)}
    for pair in MERGES:
        vocab["".join(pair)] = len(vocab)
    for word in r.sample(WORDS, r.randint(0, 4)):
        vocab.setdefault(word, len(vocab))
    made = Tokenizer(models.BPE(vocab=vocab, merges=MERGES))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=r.random() < 0.7), decoders.ByteLevel()
    if r.random() < 0.2:
        made.normalizer = normalizers.Replace("is", "us")
    for word in r.sample(WORDS, r.randint(0, 3)):
        made.add_tokens([AddedToken(**token(r, word))])
    own = json.loads(made.to_str())
    ids = vocab | {each["content"]: each["id"] for each in own["added_tokens"]}
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token", "image_token"):
        if r.random() < 0.35:
            config[name] = named(r, r.choice(WORDS))

    def numbered(words, gap):
        free, found = max(ids.values()) + 1, {}
        for word in words:
            if word not in ids:
                free += gap
            found[ids.get(word, free)] = word
            free += word not in ids
        return found

    if r.random() < 0.5:
        gap = r.choice([0, 0, 3])
        config["added_tokens_decoder"] = {str(i): token(r, word) for i, word in numbered(r.sample(WORDS, r.randint(0, 4)), gap).items()}
    if r.random() < 0.3:
        config[r.choice(["additional_special_tokens", "extra_special_tokens"])] = r.sample(WORDS, r.randint(0, 2))
    elif r.random() < 0.2:
        config["extra_special_tokens"] = {"image_token": "<b>", "boi_token": r.choice(WORDS)}
    files = {"tokenizer.json": own, "tokenizer_config.json": config}
    if r.random() < 0.3:
        names = r.sample(["bos_token", "eos_token", "sep_token"], r.randint(0, 2))
        files["special_tokens_map.json"] = {name: r.choice([word, without_special(token(r, word))]) for name in names for word in [r.choice(WORDS)]}
        if r.random() < 0.3:
            files["special_tokens_map.json"]["additional_special_tokens"] = [r.choice(WORDS)]
    if r.random() < 0.3:
        files["added_tokens.json"] = {word: i for i, word in numbered(r.sample(WORDS, r.randint(1, 3)), 0).items()}
    return files


def case(seed):
    files = files_of(random.Random(seed))
    with tempfile.TemporaryDirectory() as folder:
        for name, values in files.items():
            (pathlib.Path(folder) / name).write_text(json.dumps(values))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    each = range(len(LETTERS), len(tokenizer) + 4)
    return dict(
        files=files,
        texts={text: tokenizer(text)["input_ids"] for text in TEXTS},
        decoded={i: [tokenizer.decode([0, i, 0]), tokenizer.decode([0, i, 0], skip_special_tokens=True)] for i in each},
        named=tokenizer.special_tokens_map)


OUT.write_text("[\n" + ",\n".join(json.dumps(case(seed), separators=(",", ":")) for seed in range(CASES)) + "\n]\n")
