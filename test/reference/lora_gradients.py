"""Gradients of LoRA adapters as PEFT gives them, on tiny checkpoints of `test/fixtures`.

usage: lora_gradients.py [NAME ...]      writes test/fixtures/NAME/lora.safetensors for each name, or for all of the list below

Each linear layer of the blocks has an adapter of random matrices; the loss is that of golden.safetensors. The file holds `loss` [1],
`scaling` [1] (lora_alpha / r), and of each layer, by its name in the model: `.lora_A.weight` [r, in] and `.lora_B.weight` [out, r] with
the gradients `.lora_A.grad` and `.lora_B.grad`.
"""
import argparse
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
NAMES = ["llama", "phi3", "bloom", "falcon-40b", "gemma2", "gpt-neox", "cohere2", "gpt-oss", "deepseek-v3", "qwen2-moe"]
RANK, ALPHA = 2, 6
# A matrix of which each head takes a part has no adapter here, nor have routers.
LEFT_OUT = ("kv_b_proj", "mlp.gate", "mlp.router")
# Where a model has experts, PEFT takes the names of an MLP's matrices for theirs.
ONLY = {"deepseek-v3": ".self_attn.", "qwen2-moe": ".self_attn."}


def make(name):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(FIXTURES / name, dtype=torch.float32, attn_implementation="eager").eval()
    layers = [
        module for module, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and any(f".{blocks}." in module for blocks in ("layers", "h")) and not module.endswith(LEFT_OUT) and ONLY.get(name, "") in module]
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=layers))
    matrices = {key.removeprefix("base_model.model.").replace(".default", ""): value for key, value in model.named_parameters() if ".lora_" in key}
    assert len(matrices) == 2 * len(layers)
    with torch.no_grad():
        for value in matrices.values():
            value.copy_(0.3 * torch.randn_like(value))
    ids = load_file(FIXTURES / name / "golden.safetensors")["input_ids"]
    logits = model(ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    found = {"loss": loss.detach().reshape(1), "scaling": torch.tensor([ALPHA / RANK])}
    for key, value in matrices.items():
        found |= {key: value.detach(), key.removesuffix("weight") + "grad": value.grad}
    file = FIXTURES / name / "lora.safetensors"
    save_file({key: value.contiguous().clone() for key, value in found.items()}, file)
    print(name, len(layers), "layers", file.stat().st_size // 1024, "KB, loss", loss.item())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    for each in parser.parse_args().names or NAMES:
        make(each)
