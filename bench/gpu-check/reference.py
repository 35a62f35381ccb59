"""The same blocks in transformers: prints one JSON object a line, {"name", "ms"} or {"name", "error"}."""
import argparse
import json
import time

import torch
from transformers import LlamaConfig, LlamaModel, StaticCache

parser = argparse.ArgumentParser()
for name in ("blocks", "hidden", "intermediate", "heads", "kv-heads", "cached", "steps"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--batches", type=int, nargs="+", required=True)
parser.add_argument("--dtype", required=True)
parser.add_argument("--device", required=True)
args = parser.parse_args()

device, dtype = torch.device(args.device), getattr(torch, args.dtype)
config = LlamaConfig(
    num_hidden_layers=args.blocks, hidden_size=args.hidden, intermediate_size=args.intermediate,
    num_attention_heads=args.heads, num_key_value_heads=args.kv_heads, vocab_size=256, max_position_embeddings=8192,
)
torch.manual_seed(0)
with torch.device(device):
    model = LlamaModel(config).to(dtype).eval()
length = args.cached + args.steps + 16


def synchronize():
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(step, times):
    seconds = []
    for _ in range(times):
        synchronize()
        began = time.perf_counter()
        step()
        synchronize()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[len(seconds) // 2] * 1000


def report(name, work):
    try:
        print(json.dumps({"name": name, "ms": work()}), flush=True)
    except Exception as error:
        print(json.dumps({"name": name, "error": f"{type(error).__name__}: {str(error)[:200]}"}), flush=True)


def hidden(rows, tokens):
    return torch.randn(rows, tokens, args.hidden, device=device, dtype=dtype)


def run(forward, rows, tokens, past, cache):
    positions = torch.arange(past, past + tokens, device=device)
    extra = {"cache_position": positions} if past or tokens > 1 else {}
    return forward(inputs_embeds=hidden(rows, tokens), past_key_values=cache, use_cache=True,
                   position_ids=positions.expand(rows, tokens), **extra)


def decode(forward, rows):
    cache = StaticCache(config=config, max_cache_len=length)
    run(model, rows, args.cached, 0, cache)
    for _ in range(5):
        run(forward, rows, 1, args.cached, cache)
    return measure(lambda: run(forward, rows, 1, args.cached, cache), args.steps)


def prefill():
    def once():
        run(model, 1, args.cached, 0, StaticCache(config=config, max_cache_len=length))
    once()
    return measure(once, 10)


with torch.inference_mode():
    for batch in args.batches:
        report(f"decode, batch {batch}, eager", lambda: decode(model, batch))
    report(f"prefill of {args.cached}, eager", prefill)
    compiled = torch.compile(model, mode="reduce-overhead")
    for batch in args.batches:
        report(f"decode, batch {batch}, torch.compile reduce-overhead", lambda: decode(compiled, batch))
