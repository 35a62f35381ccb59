"""What transformers gives for trained heads on tiny checkpoints of `test/fixtures`.

usage: heads.py       writes test/client/training/reference/NAME.safetensors for each name of the list below

Sequences of different lengths lie one after another in `ids`, `lengths` [sequences] says how long each is. Of the head that predicts
tokens, which is a matrix of its own where the checkpoint has it tied: `lm.losses` [steps + 1], the mean loss before each step of SGD and
after the last, and `lm.weight`, `lm.bias` after them. Of `AutoModelForSequenceClassification`, whose sequences end in `pad` tokens:
`score` [labels, hidden], and for each problem type its `TYPE.labels`, `TYPE.logits`, `TYPE.loss`, `TYPE.score.grad`, and `TYPE.prompts.grad`,
where `prompts` [positions, hidden] stand before each sequence, as `TYPE.prompts.loss` has it.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

HERE = pathlib.Path(__file__).parent
FIXTURES = HERE.parent / "fixtures"
# Of a head of its own, one with a bias, and one tied to the embedding, with scaled logits; classifiers where transformers has them.
CAUSAL, CLASSIFIERS = ["llama", "phi", "gemma2", "bloom"], ["llama", "gpt-neox", "bloom", "gemma2"]
STEPS, RATE, LABELS, PAD = 3, 0.5, 3, 2
TYPES = {"single_label_classification": LABELS, "multi_label_classification": LABELS, "regression": 1}


def sequences(vocab, end):
    made = [torch.randint(3, vocab, (length,)) for length in (7, 4, 9, 5)]
    # Padding also within a text, and at the end of some.
    made[0][2] = end
    return [torch.cat([ids, torch.full((i % 3,), end)]) for i, ids in enumerate(made)]


def lm_head(name):
    model = AutoModelForCausalLM.from_pretrained(FIXTURES / name, dtype=torch.float32, attn_implementation="eager").eval()
    texts = [ids[:length] for ids, length in zip(sequences(model.config.vocab_size, PAD), (7, 4, 9, 5))]
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    trained = dict(head.named_parameters())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in trained.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(trained.values(), RATE)
    losses = []
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        found = [torch.nn.functional.cross_entropy(model(ids[None], use_cache=False).logits[0, :-1], ids[1:], reduction="sum") for ids in texts]
        loss = sum(found) / sum(len(ids) - 1 for ids in texts)
        losses.append(loss.item())
        if len(losses) <= STEPS:
            loss.backward()
            optimizer.step()
    print(name, losses)
    return {"lm.ids": torch.cat(texts), "lm.lengths": torch.tensor([len(ids) for ids in texts]), "lm.losses": torch.tensor(losses)} | {
        f"lm.{key}": value.detach() for key, value in trained.items()}


def classifiers(name):
    found, texts = {}, None
    for kind, labels in TYPES.items():
        torch.manual_seed(7)
        model = AutoModelForSequenceClassification.from_pretrained(
            FIXTURES / name, num_labels=labels, problem_type=kind, pad_token_id=PAD, dtype=torch.float32, attn_implementation="eager").eval()
        config, score = model.config, model.score.weight
        with torch.no_grad():
            score.copy_(0.3 * torch.randn_like(score))
        texts = texts or sequences(config.vocab_size, PAD)
        given = {
            "single_label_classification": torch.tensor([1, 0, 2, 1]),
            "multi_label_classification": torch.rand(len(texts), labels).round(),
            "regression": torch.randn(len(texts)),
        }[kind]
        longest = max(len(ids) for ids in texts)
        padded = torch.stack([torch.cat([ids, torch.full((longest - len(ids),), PAD)]) for ids in texts])
        output = model(padded, labels=given, use_cache=False)
        output.loss.backward()
        found |= {f"{kind}.labels": given.float(), f"{kind}.logits": output.logits, f"{kind}.loss": output.loss.reshape(1),
                  f"{kind}.score.grad": score.grad.clone(), f"{kind}.score": score}
        # With prompts before each sequence the padding is not seen in ids any more: each is computed by itself, without it.
        score.grad = None
        prompts = torch.nn.Parameter(0.2 * torch.randn(2, config.hidden_size))
        embed, body = model.get_input_embeddings(), getattr(model, model.base_model_prefix)
        # Bloom has a norm behind its embedding; prompts are the first block's input.
        norm = getattr(body, "word_embeddings_layernorm", torch.nn.Identity())
        if not isinstance(norm, torch.nn.Identity):
            body.word_embeddings_layernorm = torch.nn.Identity()
        logits = []
        for ids in texts:
            kept = ids[: int(torch.nonzero(ids != PAD).max()) + 1]
            states = body(inputs_embeds=torch.cat([prompts, norm(embed(kept))])[None], use_cache=False).last_hidden_state
            logits.append(states[0, -1] @ score.T)
        loss = model.loss_function(labels=given, logits=torch.stack(logits), pooled_logits=torch.stack(logits), config=config)
        loss.backward()
        found |= {f"{kind}.prompts": prompts, f"{kind}.prompts.loss": loss.reshape(1), f"{kind}.prompts.grad": prompts.grad}
        print(name, kind, output.loss.item(), loss.item())
    return found | {"ids": torch.cat(texts), "lengths": torch.tensor([len(ids) for ids in texts]), "pad": torch.tensor([PAD])}


if __name__ == "__main__":
    torch.manual_seed(3)
    for each in dict.fromkeys(CAUSAL + CLASSIFIERS):
        tensors = (lm_head(each) if each in CAUSAL else {}) | (classifiers(each) if each in CLASSIFIERS else {})
        file = HERE.parent / "client" / "training" / "reference" / f"{each}.safetensors"
        file.parent.mkdir(exist_ok=True)
        save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, file)
        print(file.name, file.stat().st_size // 1024, "KB")
