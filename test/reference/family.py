"""Tiny random checkpoints of the families, with what transformers computes of them, as fixtures for tests.

usage: family.py [NAME ...]      writes test/fixtures/NAME for each name of the table below, or for all
       family.py --config CONFIG.json OUTDIR [--seed N]      the same for any config

golden.safetensors holds, in float32: input_ids [rows, tokens]; block0_input, block<i>_output [rows, tokens, hidden]; logits;
loss [1] (mean cross entropy of the shifted ids) and its gradients inputs_embeds_grad, block0_input_grad, block<i>_output_grad; greedy_ids [1, tokens + new] with greedy_logprobs; deep_prompts [blocks, 3, hidden] and logits_with_deep_prompts.
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
GPT_OSS = dict(
    LLAMA, model_type="gpt_oss", num_hidden_layers=3, max_position_embeddings=256, head_dim=16, intermediate_size=32, num_local_experts=4, num_experts_per_tok=2, sliding_window=4,
    rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=150000.0, truncate=False, original_max_position_embeddings=16))
DEEPSEEK = dict(
    SMALL, num_attention_heads=2, num_key_value_heads=2, num_hidden_layers=3, intermediate_size=48, max_position_embeddings=256, moe_intermediate_size=16, n_routed_experts=8,
    num_experts_per_tok=2, first_k_dense_replace=1, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=12, v_head_dim=10)


def factors(pairs):
    return dict(short_factor=[round(1 + 0.05 * i, 2) for i in range(pairs)], long_factor=[round(1.5 + 0.2 * i, 2) for i in range(pairs)])


E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def mxfp4(tensors):
    """Random experts in MXFP4. Returns what replaces the tensors of a checkpoint: in floats, as stored, and the config's word for it."""
    plain, stored = {}, {}
    for name, value in tensors.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            continue
        experts, inner, out = value.shape
        blocks = torch.randint(0, 256, (experts, out, inner // 32, 16), dtype=torch.uint8)
        largest = 127 if "gate_up" in name else 120
        scales = torch.randint(largest - 5, largest, (experts, out, inner // 32), dtype=torch.uint8)
        codes = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2).long()
        plain[name] = torch.ldexp(E2M1[codes], scales.int()[..., None] - 127).flatten(-2).transpose(1, 2).contiguous()
        stored |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    modules = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    return plain, stored, dict(quant_method="mxfp4", modules_to_not_convert=modules)


def float8(tensors, size=16):
    """All linear layers of the blocks but routers in float8, with a scale for each block. Returns as `mxfp4`."""
    plain, stored = {}, {}
    for name, value in tensors.items():
        if ".layers." not in name or value.dim() != 2 or name.endswith("mlp.gate.weight"):
            continue
        rows, columns = (torch.arange(n) // size for n in value.shape)
        scales = torch.zeros(int(rows[-1]) + 1, int(columns[-1]) + 1)
        for r in range(scales.shape[0]):
            for c in range(scales.shape[1]):
                scales[r, c] = value[r * size:(r + 1) * size, c * size:(c + 1) * size].abs().amax() / 448
        each = scales[rows][:, columns]
        codes = (value / each).to(torch.float8_e4m3fn)
        plain[name] = codes.float() * each
        stored |= {name: codes, f"{name}_scale_inv": scales}
    return plain, stored, dict(quant_method="fp8", activation_scheme="dynamic", fmt="e4m3", weight_block_size=[size, size])


def rewrite(folder, values, without=()):
    file = folder / "model.safetensors"
    rest = {name: value for name, value in load_file(file).items() if name not in without}
    save_file({**rest, **values}, file, metadata={"format": "pt"})


# name: (config, how config.json is written, what transformers computes attention with, prefix taken off the names, how weights are stored)
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
    "gpt-oss": (dict(GPT_OSS, attention_bias=True), 5, "eager", ""),
    "gpt-oss-nobias-dynamic": (dict(
        GPT_OSS, attention_bias=False, head_dim=20, num_local_experts=3, num_experts_per_tok=1, intermediate_size=24, sliding_window=5,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="dynamic", factor=4.0, rope_theta=10000.0)), 4, "eager", ""),
    "gpt-oss-mxfp4": (dict(GPT_OSS, intermediate_size=64, layer_types=["full_attention", "sliding_attention", "sliding_attention"]), 5, "eager", "", mxfp4),
    "deepseek-v3": (dict(
        DEEPSEEK, model_type="deepseek_v3", n_group=4, topk_group=2, q_lora_rank=24, attention_bias=True, n_shared_experts=1, norm_topk_prob=True,
        rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0, mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=16)), 4, "eager", ""),
    "deepseek-v3-plain": (dict(
        DEEPSEEK, model_type="deepseek_v3", n_group=1, topk_group=1, num_experts_per_tok=3, q_lora_rank=None, rope_interleave=False, norm_topk_prob=False,
        qk_rope_head_dim=16, v_head_dim=40, first_k_dense_replace=0), 5, "eager", ""),
    "deepseek-v3-float8": (dict(
        DEEPSEEK, model_type="deepseek_v3", n_group=2, topk_group=1, q_lora_rank=24, n_shared_experts=1, moe_intermediate_size=24), 4, "eager", "", float8),
    "deepseek-v2": (dict(
        DEEPSEEK, model_type="deepseek_v2", topk_method="group_limited_greedy", n_group=4, topk_group=2, q_lora_rank=24, routed_scaling_factor=16.0, mlp_bias=True,
        rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0, mscale=0.707, mscale_all_dim=0.5, original_max_position_embeddings=16)), 5, "eager", ""),
    "deepseek-v2-lite": (dict(
        DEEPSEEK, model_type="deepseek_v2", topk_method="greedy", q_lora_rank=None, n_shared_experts=2, attention_bias=True, num_experts_per_tok=3), 4, "eager", ""),
    "qwen2-moe": (dict(
        LLAMA, model_type="qwen2_moe", num_hidden_layers=4, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=24,
        mlp_only_layers=[3], use_sliding_window=True, sliding_window=4, max_window_layers=2), 5, "eager", ""),
    "olmoe": (dict(
        LLAMA, model_type="olmoe", num_experts=5, num_experts_per_tok=3, clip_qkv=0.8, norm_topk_prob=True, attention_bias=True, intermediate_size=16), 5, "eager", ""),
    "glm4-moe": (dict(
        LLAMA, model_type="glm4_moe", head_dim=32, n_routed_experts=8, n_group=2, topk_group=1, num_experts_per_tok=3, moe_intermediate_size=16,
        first_k_dense_replace=1, routed_scaling_factor=2.5, attention_bias=True, use_qk_norm=True), 4, "eager", ""),
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


def random_model(config, folder, seed, attention, store):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).float().eval()
    centered = config.model_type.startswith(("gemma", "nemotron"))  # their norms are stored as the distance from one
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            is_scale = "norm" in name or name.endswith("ln_f.weight") or ".ln_" in name and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_scale and name.endswith("weight") and not centered else scale_of(name, config) * noise)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(0.3 * torch.randn_like(buffer))
    model.save_pretrained(folder)
    stored = store(load_file(folder / "model.safetensors")) if store else None
    if stored:
        rewrite(folder, stored[0])
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval(), stored


def scale_of(name, config):
    """Gates of gpt-oss are clamped only where they are large; what they make then must not drown everything else."""
    if config.model_type != "gpt_oss":
        return 0.12
    return 1.0 if name.endswith(("experts.gate_up_proj", "sinks")) else 0.005 if name.endswith("experts.down_proj") else 0.12


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


def gradients(model, ids):
    """Of the loss, with respect to the embedded ids, what the first block takes and what each block gives."""
    kept = {}

    def keep(name, value):
        value.requires_grad_() if value.is_leaf else None
        value.retain_grad()
        kept[name] = value

    def hook_of(i):
        def hook(_, args, kwargs, output):
            if i == 0:
                keep("block0_input_grad", args[0] if args else kwargs["hidden_states"])
            keep(f"block{i}_output_grad", output[0] if isinstance(output, tuple) else output)
        return hook

    hooks = [block.register_forward_hook(hook_of(i), with_kwargs=True) for i, block in enumerate(blocks_of(model))]
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    for hook in hooks:
        hook.remove()
    return {"inputs_embeds_grad": embedded.grad} | {name: value.grad for name, value in kept.items()}


def make(values, folder, seed, dialect=5, attention="eager", prefix="", store=None):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    values = dict(values)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    model, stored = random_model(config, folder, seed, attention, store)
    ids = torch.randint(2, config.vocab_size, (ROWS, TOKENS))
    found, is_clear = results(model, ids)
    found |= gradients(model, ids)
    save_file({name: value.contiguous().clone() for name, value in found.items()}, folder / "golden.safetensors")
    if dialect == 4:
        as_transformers_4(folder / "config.json")
    if stored:
        plain, packed, word = stored
        rewrite(folder, packed, without=plain)
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, "quantization_config": word}, indent=2))
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
            config, dialect, attention, prefix, *store = TABLE[name]
            seed = next(seed for seed in range(100) if make(config, FIXTURES / name, seed, dialect, attention, prefix, *store))
            print(name, "seed", seed)
