"""Tiny random checkpoints of the families, with what transformers computes of them, as fixtures for tests.

usage: family.py [NAME ...]      writes test/fixtures/NAME for each name of the table below, or for all
       family.py --config CONFIG.json OUTDIR [--seed N]      the same for any config

golden.safetensors holds, in float32: input_ids [rows, tokens]; block0_input, block<i>_output [rows, tokens, hidden]; logits;
loss [1]; greedy_ids [1, tokens + new] with greedy_logprobs; deep_prompts [blocks, 3, hidden] and logits_with_deep_prompts.
A seed counts only where the two best logits on the greedy way are never close: else the ids would be a matter of rounding.
"""
import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from dense import DENSE, LLAMA, SMALL

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
ROWS, TOKENS, NEW, PROMPTS = 2, 10, 8, 3
CLEAR_GAP = 1e-2

OLD_NAMES = {"gpt_neox": dict(rope_theta="rotary_emb_base", partial_rotary_factor="rotary_pct")}
LONGROPE = dict(rope_type="longrope", rope_theta=10000.0)


def factors(pairs):
    return dict(short_factor=[round(1 + 0.05 * i, 2) for i in range(pairs)], long_factor=[round(1.5 + 0.2 * i, 2) for i in range(pairs)])


# name: (config, how config.json is written, what transformers computes attention with, prefix taken off the names)
TABLE = {
    "mistral-nowindow": (dict(LLAMA, model_type="mistral", head_dim=16, sliding_window=None, tie_word_embeddings=True, hidden_act="gelu_pytorch_tanh"), 4, "eager", ""),
    "qwen2-window": (dict(LLAMA, model_type="qwen2", num_hidden_layers=3, use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True), 4, "eager", ""),
    "qwen3-window-biases": (dict(LLAMA, model_type="qwen3", head_dim=24, attention_bias=True, use_sliding_window=True, sliding_window=4, max_window_layers=1), 5, "eager", ""),
    "phi3-longrope-partial": (dict(
        LLAMA, model_type="phi3", num_key_value_heads=2, sliding_window=6, original_max_position_embeddings=8, partial_rotary_factor=0.75,
        rope_parameters=dict(LONGROPE, partial_rotary_factor=0.75, original_max_position_embeddings=8, **factors(6))), 5, "eager", ""),
    "phi3-longrope-dialect4": (dict(
        LLAMA, model_type="phi3", tie_word_embeddings=True, original_max_position_embeddings=8,
        rope_parameters=dict(LONGROPE, original_max_position_embeddings=8, **factors(8))), 4, "eager", ""),
    "gemma2-biases-nocaps": (dict(
        LLAMA, model_type="gemma2", head_dim=20, attention_bias=True, attn_logit_softcapping=None, final_logit_softcapping=None,
        query_pre_attn_scalar=20, sliding_window=4, tie_word_embeddings=False), 5, "eager", ""),
    "gemma3-scaled": (dict(
        LLAMA, model_type="gemma3_text", num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=16, sliding_window=4, final_logit_softcapping=5.0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=10000.0))), 5, "eager", ""),
    "mixtral-window": (dict(
        LLAMA, model_type="mixtral", sliding_window=4, num_local_experts=5, num_experts_per_tok=3, tie_word_embeddings=True), 4, "eager", ""),
    "qwen3-moe-mixed": (dict(
        LLAMA, model_type="qwen3_moe", num_hidden_layers=4, head_dim=16, attention_bias=True, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
        norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[3], use_sliding_window=True, sliding_window=4), 4, "eager", ""),
    "bloom-6heads-postln": (dict(
        vocab_size=64, hidden_size=48, n_layer=2, n_head=6, bos_token_id=0, eos_token_id=1, model_type="bloom",
        apply_residual_connection_post_layernorm=True, tie_word_embeddings=False), 5, "eager", "transformer."),
    **DENSE,
    # transformers' eager form adds Falcon's ALiBi twice, once through the mask; sdpa, which it takes by itself, adds it once.
    "falcon-rw": (dict(
        SMALL, model_type="falcon", hidden_size=48, num_attention_heads=3, alibi=True, bias=True, multi_query=False, parallel_attn=False,
        new_decoder_architecture=False), 5, "sdpa", ""),
    "falcon-11b": (dict(
        SMALL, model_type="falcon", num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1,
        ffn_hidden_size=40, activation="gelu_pytorch_tanh", tie_word_embeddings=False,
        rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=10000.0)), 4, "eager", ""),
}


def random_model(config, folder, seed, attention):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).float().eval()
    centered = config.model_type.startswith(("gemma", "nemotron"))  # their norms are stored as the distance from one
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            is_scale = "norm" in name or name.endswith("ln_f.weight") or ".ln_" in name and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_scale and name.endswith("weight") and not centered else 0.12 * noise)
    model.save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


def as_transformers_4(file):
    values = json.loads(file.read_text())
    values.pop("layer_types", None)
    rope = values.pop("rope_parameters", None) or {}
    if "full_attention" in rope:  # olmo3's windowed layers have the same base, and are not scaled
        rope = rope["full_attention"]
    for name in ("rope_theta", "partial_rotary_factor"):
        if rope.get(name) is not None:
            values[name] = rope.pop(name)
    values["rope_scaling"] = None if rope.get("rope_type", "default") == "default" else rope
    for new, old in OLD_NAMES.get(values["model_type"], {}).items():
        values[old] = values.pop(new)
    values["torch_dtype"] = values.pop("dtype", "float32")
    file.write_text(json.dumps(values, indent=2))


def blocks_of(model):
    return next(getattr(model.base_model, name) for name in ("layers", "h", "blocks") if hasattr(model.base_model, name))


@torch.no_grad()
def results(model, ids):
    blocks, found = blocks_of(model), {"input_ids": ids}

    def keep(i):
        def hook(_, args, kwargs, output):
            if i == 0:
                found["block0_input"] = args[0] if args else kwargs["hidden_states"]
            found[f"block{i}_output"] = output[0] if isinstance(output, tuple) else output
        return hook

    hooks = [block.register_forward_hook(keep(i), with_kwargs=True) for i, block in enumerate(blocks)]
    found["logits"] = model(ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    found["loss"] = torch.nn.functional.cross_entropy(found["logits"][:, :-1].flatten(0, 1), ids[:, 1:].flatten()).reshape(1)

    prompts = 0.1 * torch.randn(len(blocks), PROMPTS, found["block0_input"].shape[-1])

    def add(i):
        def hook(_, args, kwargs):
            hidden = (args[0] if args else kwargs["hidden_states"]).clone()
            hidden[:, :PROMPTS] += prompts[i]
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})
        return hook

    hooks = [block.register_forward_pre_hook(add(i), with_kwargs=True) for i, block in enumerate(blocks)]
    found |= {"deep_prompts": prompts, "logits_with_deep_prompts": model(ids, use_cache=False).logits}
    for hook in hooks:
        hook.remove()

    model.generation_config = GenerationConfig(pad_token_id=0)
    greedy = model.generate(ids[:1], attention_mask=torch.ones_like(ids[:1]), max_new_tokens=NEW, do_sample=False)
    logits = model(greedy, use_cache=False).logits[0]
    best = logits[TOKENS - 1:-1].topk(2, -1)
    found |= {"greedy_ids": greedy, "greedy_logprobs": logits.log_softmax(-1)[:-1].gather(-1, greedy[0, 1:, None])[:, 0]}
    is_clear = bool((best.values[:, 0] - best.values[:, 1]).min() > CLEAR_GAP) and bool((best.indices[:, 0] == greedy[0, TOKENS:]).all())
    return found, is_clear


def make(values, folder, seed, dialect=5, attention="eager", prefix=""):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    values = dict(values)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    model = random_model(config, folder, seed, attention)
    found, is_clear = results(model, torch.randint(2, config.vocab_size, (ROWS, TOKENS)))
    save_file({name: value.contiguous().clone() for name, value in found.items()}, folder / "golden.safetensors")
    if dialect == 4:
        as_transformers_4(folder / "config.json")
    if prefix:
        weights = folder / "model.safetensors"
        save_file({name.removeprefix(prefix): value for name, value in load_file(weights).items()}, weights, metadata={"format": "pt"})
    return is_clear


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--config")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.config:
        print("clear" if make(json.loads(pathlib.Path(given.config).read_text()), given.names[0], given.seed) else "greedy ids are not a fair test: choose another seed")
    else:
        for name in given.names or TABLE:
            config, dialect, attention, prefix = TABLE[name]
            seed = next(seed for seed in range(100) if make(config, FIXTURES / name, seed, dialect, attention, prefix))
            print(name, "seed", seed)
