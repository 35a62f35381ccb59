"""LoRA adapters for the small fixtures, with what PEFT computes with them.

usage: adapters.py [NAME ...]      writes test/fixtures-adapters/NAME for each name of the table below, or for all

golden.safetensors holds, in float32: block0_input and output, of the last block, [1, tokens, hidden].
"""
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
TOKENS = 7

# name: (fixture, options)
TABLE = {
    "llama-patterns": ("llama", dict(
        r=2, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], use_rslora=True,
        rank_pattern={"v_proj": 3, "layers.1.mlp.down_proj": 4}, alpha_pattern={r"layers\.[02]\.self_attn\.q_proj": 10})),
    "falcon-40b-fused": ("falcon-40b", dict(r=4, lora_alpha=8, target_modules=["query_key_value", "dense_h_to_4h"])),
    "phi3-fused": ("phi3", dict(r=3, lora_alpha=5, target_modules=["qkv_proj", "gate_up_proj", "o_proj"], layers_to_transform=[0, 2], layers_pattern="layers")),
    "gpt-neox-all-linear": ("gpt-neox", dict(r=3, lora_alpha=6, target_modules="all-linear")),
    "cohere2-all-linear": ("cohere2", dict(r=2, lora_alpha=5, target_modules="all-linear")),
    "bloom-fused": ("bloom", dict(r=2, lora_alpha=4, target_modules=["query_key_value", "dense"])),
}


def make(name):
    fixture, options = TABLE[name]
    out = FIXTURES.parent / "fixtures-adapters" / name
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(FIXTURES / fixture, dtype=torch.float32, attn_implementation="eager")
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
    for key, value in peft.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(value, std=0.2)
    peft.eval()
    peft.save_pretrained(out)
    config = json.loads((out / "adapter_config.json").read_text())
    (out / "adapter_config.json").write_text(json.dumps(dict(config, base_model_name_or_path=None), indent=2))
    for extra in out.glob("README.md"):
        extra.unlink()
    ids = load_file(FIXTURES / fixture / "golden.safetensors")["input_ids"][:1, :TOKENS].long()
    blocks = next(module for key, module in model.named_modules() if key.endswith(("layers", ".h")))
    seen = {}
    blocks[0].register_forward_pre_hook(lambda _, args, kwargs: seen.update(block0_input=args[0] if args else kwargs["hidden_states"]), with_kwargs=True)
    blocks[-1].register_forward_hook(lambda _, args, result: seen.update(output=result[0] if isinstance(result, tuple) else result))
    with torch.no_grad():
        peft(input_ids=ids, use_cache=False)
    save_file({key: value.contiguous().clone() for key, value in seen.items()}, out / "golden.safetensors")
    print(name, {key: list(value.shape) for key, value in seen.items()})


for name in sys.argv[1:] or TABLE:
    make(name)
