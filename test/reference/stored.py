"""Small checkpoints as quantizers store them, each beside what it means in float32.

usage: stored.py      writes test/fixtures-stored/NAME/{config.json,model.safetensors,plain.safetensors}

The formats are written out here by their definitions: GPTQ (AutoGPTQ's v1), AWQ (gemm), compressed-tensors (pack-quantized with and
without zero points, int-quantized by channel, float-quantized by channel, tensor and block), and fp8 by blocks and by tensor.
"""
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
OUT = FIXTURES.parent / "fixtures-stored"
GROUP = 32
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def pack(values, order=range(8)):
    """[..., 8 n] small integers -> [..., n] int32, the first in the lowest bits."""
    words = torch.zeros(*values.shape[:-1], values.shape[-1] // 8, dtype=torch.int64)
    for place, index in enumerate(order):
        words |= values[..., index::8].long() << 4 * place
    return torch.where(words >= 2 ** 31, words - 2 ** 32, words).to(torch.int32)


def groups(weight, size):
    return weight.reshape(weight.shape[0], -1, size)


def asymmetric(weight, size, low, high):
    g = groups(weight, size)
    least, most = g.amin(-1, keepdim=True).clamp(max=0), g.amax(-1, keepdim=True).clamp(min=0)
    scale = ((most - least) / 15).half().float()
    zero = (-least / scale).round().clamp(low, high)
    codes = (g / scale + zero).round().clamp(0, 15)
    plain = (codes - zero) * scale
    return codes.reshape(weight.shape), zero.squeeze(-1), scale.squeeze(-1), plain.reshape(weight.shape)


def symmetric(weight, size, levels, dtype):
    g = groups(weight, size)
    scale = (g.abs().amax(-1, keepdim=True) / levels).to(dtype).float()
    codes = (g / scale).round().clamp(-levels - 1, levels)
    return codes.reshape(weight.shape), scale.squeeze(-1), (codes * scale).reshape(weight.shape)


def gptq(weight):
    codes, zero, scale, plain = asymmetric(weight, GROUP, 1, 15)
    rows = torch.arange(weight.shape[1])
    return {"qweight": pack(codes).T, "qzeros": pack(zero.T - 1), "scales": scale.T.half(), "g_idx": (rows // GROUP).int()}, plain


def awq(weight):
    codes, zero, scale, plain = asymmetric(weight, GROUP, 0, 15)
    return {"qweight": pack(codes.T, AWQ_ORDER), "qzeros": pack(zero.T, AWQ_ORDER), "scales": scale.T.half()}, plain


def packed(weight):
    codes, scale, plain = symmetric(weight, GROUP, 7, torch.bfloat16)
    return {"weight_packed": pack(codes + 8), "weight_scale": scale.bfloat16(), "weight_shape": torch.tensor(weight.shape)}, plain


def packed_zeros(weight):
    codes, zero, scale, plain = asymmetric(weight, GROUP, 0, 15)
    return {"weight_packed": pack(codes), "weight_scale": scale.half(), "weight_zero_point": pack(zero.T).T, "weight_shape": torch.tensor(weight.shape)}, plain


def int8(weight):
    codes, scale, plain = symmetric(weight, weight.shape[1], 127, torch.bfloat16)
    return {"weight": codes.to(torch.int8), "weight_scale": scale.bfloat16()}, plain


def float8_channel(weight):
    scale = (weight.abs().amax(-1, keepdim=True) / 448).bfloat16().float()
    codes = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scale.bfloat16()}, codes.float() * scale


def float8_tensor(weight, name="weight_scale", shape=(1,), activations="input_scale"):
    scale = weight.abs().max() / 448
    codes = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": codes, name: scale.reshape(shape), activations: torch.ones(())}, codes.float() * scale


def float8_static(weight):
    return float8_tensor(weight, "weight_scale_inv", (), "activation_scale")


def float8_rows(weight):
    tensors, plain = float8_channel(weight)
    return {**tensors, "weight_scale": tensors["weight_scale"].flatten()}, plain


def float8_block_scales(weight):
    tensors, plain = float8_block(weight)
    return {"weight": tensors["weight"], "weight_scale": tensors["weight_scale_inv"]}, plain


def float8_block(weight, size=48):
    rows, columns = -(-weight.shape[0] // size), -(-weight.shape[1] // size)
    scale = torch.zeros(rows, columns)
    codes, plain = torch.zeros(weight.shape, dtype=torch.float8_e4m3fn), torch.zeros(weight.shape)
    for r in range(rows):
        for c in range(columns):
            part = (slice(r * size, (r + 1) * size), slice(c * size, (c + 1) * size))
            scale[r, c] = weight[part].abs().amax() / 448
            codes[part] = (weight[part] / scale[r, c]).to(torch.float8_e4m3fn)
            plain[part] = codes[part].float() * scale[r, c]
    return {"weight": codes, "weight_scale_inv": scale}, plain


def compressed(fmt, **weights):
    return {"quant_method": "compressed-tensors", "format": fmt, "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}


TABLE = {
    "gptq": (gptq, {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": False}),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"}),
    "packed": (packed, compressed("pack-quantized", num_bits=4, type="int", symmetric=True, strategy="group", group_size=GROUP)),
    "packed-zeros": (packed_zeros, compressed("pack-quantized", num_bits=4, type="int", symmetric=False, strategy="group", group_size=GROUP)),
    "int8": (int8, compressed("int-quantized", num_bits=8, type="int", symmetric=True, strategy="channel")),
    "float8-channel": (float8_channel, compressed("float-quantized", num_bits=8, type="float", symmetric=True, strategy="channel")),
    "float8-tensor": (float8_tensor, {**compressed("float-quantized", num_bits=8, type="float", symmetric=True, strategy="tensor"), "ignore": ["lm_head", "model.layers.0.mlp.gate", "re:.*norm.*"]}),
    "float8-static": (float8_static, {"quant_method": "fp8", "weight_block_size": None, "activation_scheme": "static", "modules_to_not_convert": ["model.norm"]}),
    "float8-rows": (float8_rows, compressed("naive-quantized", num_bits=8, type="float", symmetric=True, strategy="channel")),
    "float8-blocks": (float8_block_scales, compressed("float-quantized", num_bits=8, type="float", symmetric=True, strategy="block", block_structure=[48, 48])),
    "float8-block": (float8_block, {"quant_method": "fp8", "weight_block_size": [48, 48], "activation_scheme": "dynamic"}),
}

for name, (quantize, config) in TABLE.items():
    out = OUT / name
    out.mkdir(parents=True, exist_ok=True)
    source = FIXTURES / "llama"
    model = {"num_hidden_layers": 1, **{key: value for key, value in json.loads((source / "config.json").read_text()).items() if key != "num_hidden_layers"}}
    (out / "config.json").write_text(json.dumps({**model, "quantization_config": config}, indent=1))
    stored, plain = {}, {}
    for key, value in load_file(source / "model.safetensors").items():
        if "layers." in key and "layers.0." not in key:
            continue
        if "layers.0." in key and value.dim() == 2:
            tensors, exact = quantize(value.float())
            stored.update({key.removesuffix("weight") + part: tensor.contiguous() for part, tensor in tensors.items()})
            plain[key] = exact.contiguous()
        else:
            stored[key] = plain[key] = value
    if name == "float8-tensor":
        stored.update({f"model.layers.0.self_attn.{part}_scale": torch.ones(1) for part in "kv"})
    save_file(stored, out / "model.safetensors")
    save_file({key: value for key, value in plain.items() if "layers." in key}, out / "plain.safetensors")
    print(name, sorted(key for key in stored if "q_proj" in key))
