"""Tiny checkpoints in the forms that people have them, each with the logits that transformers computes of it.

usage: checkpoints.py [NAME ...]     writes test/fixtures-checkpoints/NAME/{config.json,model.safetensors,expected.json}

expected.json holds input_ids [tokens] and the logits [vocab] after the last of them, of text alone. What is written by hand here
(a head beside a tied config, names) is read by transformers from the written files, never from the model that made them.
"""
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM

OUT = pathlib.Path(__file__).parent.parent / "fixtures-checkpoints"
IDS = [5, 17, 3, 44, 9, 30, 41, 2, 7, 33, 21, 40]

SMALL = dict(vocab_size=48, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=None)
LLAMA = dict(SMALL, num_key_value_heads=1, intermediate_size=24, max_position_embeddings=64)
HEAD8 = dict(LLAMA, head_dim=8)
EXPERTS = dict(num_experts_per_tok=2)
TOWER = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
QWEN_TOWER = dict(depth=1, embed_dim=16, hidden_size=16, num_heads=2, patch_size=4, mlp_ratio=1, intermediate_size=16, out_hidden_size=16, fullatt_block_indexes=[0], deepstack_visual_indexes=[0], num_position_embeddings=16)
MROPE = dict(rope_type="default", rope_theta=1e6, mrope_section=[2, 1, 1])
CLIP = dict(TOWER, model_type="clip_vision_model", projection_dim=16)
SIGLIP = dict(TOWER, model_type="siglip_vision_model")


def wrapped(kind, text, vision, **more):
    return dict(model_type=kind, text_config=text, vision_config=vision, **more)


def own_head(**config):
    return dict(config, own_head=True)


# name: config; own_head: written with a head of its own, and tie_word_embeddings true
TABLE = {
    "tied-llama": own_head(model_type="llama", **LLAMA),
    "tied-qwen2": own_head(model_type="qwen2", **LLAMA),
    "tied-gemma2": own_head(model_type="gemma2", **HEAD8, query_pre_attn_scalar=8),
    "tied-bloom": own_head(model_type="bloom", vocab_size=48, hidden_size=16, n_layer=2, n_head=2),
    "tied-falcon": own_head(model_type="falcon", **SMALL, new_decoder_architecture=True, num_kv_heads=1),
    "tied-phi3": own_head(model_type="phi3", **LLAMA),
    "mixtral-fused": dict(model_type="mixtral", **LLAMA, **EXPERTS, num_local_experts=3, fused=True),
    "qwen3-moe-fused": dict(model_type="qwen3_moe", **HEAD8, **EXPERTS, num_experts=3, moe_intermediate_size=12, fused=True),
    "gemma3": wrapped("gemma3", dict(HEAD8, query_pre_attn_scalar=8, sliding_window=4, num_hidden_layers=3, layer_types=["sliding_attention", "full_attention", "sliding_attention"]), SIGLIP, mm_tokens_per_image=4),
    "mistral3": wrapped("mistral3", dict(HEAD8, model_type="mistral", sliding_window=None), dict(TOWER, model_type="pixtral", head_dim=8)),
    "qwen2-vl": wrapped("qwen2_vl", dict(LLAMA, model_type="qwen2_vl_text", rope_parameters=MROPE), QWEN_TOWER),
    "qwen2-5-vl": wrapped("qwen2_5_vl", dict(LLAMA, model_type="qwen2_5_vl_text", rope_parameters=MROPE), QWEN_TOWER, tie_word_embeddings=True),
    "qwen3-vl": wrapped("qwen3_vl", dict(HEAD8, model_type="qwen3_vl_text", rope_parameters=dict(MROPE, mrope_interleaved=True)), QWEN_TOWER),
    "qwen3-vl-moe": wrapped("qwen3_vl_moe", dict(HEAD8, model_type="qwen3_vl_moe_text", num_experts=3, num_experts_per_tok=2, moe_intermediate_size=12, rope_parameters=dict(MROPE, mrope_interleaved=True)), QWEN_TOWER),
    "llava": wrapped("llava", dict(LLAMA, model_type="llama"), CLIP),
    "llava-mistral": wrapped("llava_next", dict(HEAD8, model_type="mistral", sliding_window=None), CLIP, image_grid_pinpoints=[[8, 8]]),
    "llava-onevision": wrapped("llava_onevision", dict(LLAMA, model_type="qwen2", tie_word_embeddings=True), SIGLIP, image_grid_pinpoints=[[8, 8]], tie_word_embeddings=True),
    "vipllava": wrapped("vipllava", dict(LLAMA, model_type="llama"), CLIP, vision_feature_layers=[-1]),
    "idefics3": wrapped("idefics3", dict(LLAMA, model_type="llama"), dict(TOWER, model_type="idefics3_vision"), scale_factor=2),
    "smolvlm": wrapped("smolvlm", dict(LLAMA, model_type="llama"), dict(TOWER, model_type="smolvlm_vision"), scale_factor=2),
    "internvl": wrapped("internvl", dict(HEAD8, model_type="qwen3"), dict(TOWER, model_type="internvl_vision", image_size=[8, 8], patch_size=[4, 4])),
    "deepseek-vl": wrapped("deepseek_vl", dict(LLAMA, model_type="llama"), SIGLIP),
    "exaone4-5": wrapped("exaone4_5", dict(LLAMA, model_type="exaone4", sliding_window=4, num_hidden_layers=4), dict(QWEN_TOWER, num_key_value_heads=1)),
    "qwen2-audio": dict(model_type="qwen2_audio", text_config=dict(LLAMA, model_type="qwen2"), audio_config=dict(
        model_type="qwen2_audio_encoder", d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, num_mel_bins=8, max_source_positions=16)),
    "voxtral": dict(model_type="voxtral", text_config=dict(HEAD8, model_type="llama"), audio_config=dict(
        model_type="voxtral_encoder", hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_mel_bins=8, max_source_positions=16)),
}


def auto_class(kind, values):
    if "text_config" not in values:
        return AutoModelForCausalLM
    return AutoModelForMultimodalLM if "audio_config" in values else AutoModelForImageTextToText


def make(name, values):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    values = dict(values)
    has_own_head, fused = values.pop("own_head", False), values.pop("fused", False)
    kind = values.pop("model_type")
    torch.manual_seed(sum(map(ord, name)))
    config = AutoConfig.for_model(kind, **values, **(dict(tie_word_embeddings=False) if has_own_head else {}))
    auto = auto_class(kind, values)
    model = auto.from_config(config).float().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            is_scale = parameter.ndim == 1 and ("norm" in parameter_name or "ln_" in parameter_name) and parameter_name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_scale and "gemma" not in kind else 0.12 * noise)
    model.save_pretrained(folder, save_original_format=not fused)
    (folder / "generation_config.json").unlink(missing_ok=True)
    file = folder / "config.json"
    if has_own_head:
        file.write_text(json.dumps({**json.loads(file.read_text()), "tie_word_embeddings": True}, indent=1))
    read = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager" if kind == "gemma2" else None).eval()
    if "text_config" in values:
        # Towers are nobody's here: one tensor of each stays.
        weights, seen, kept = folder / "model.safetensors", set(), {}
        for key, value in load_file(weights).items():
            tower = next((part for part in ("vision_tower", "vision_model", "visual", "audio_tower", "projector", "connector") if part in key), None)
            if tower is None or tower not in seen:
                kept[key] = value
            seen.add(tower)
        save_file(kept, weights, metadata={"format": "pt"})
    with torch.no_grad():
        logits = read(input_ids=torch.tensor([IDS])).logits[0, -1]
    (folder / "expected.json").write_text(json.dumps({"input_ids": IDS, "logits": [round(float(x), 6) for x in logits]}))
    print(name, sorted(load_file(folder / "model.safetensors"))[-40::8])


for name in sys.argv[1:] or TABLE:
    make(name, TABLE[name])
