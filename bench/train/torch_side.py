"""The same passes in PyTorch, for `npm run bench -- train`: needs torch and transformers.

usage: torch_side.py CONFIG.json BATCH TOKENS THREADS
Prints "ready", then for each line on stdin runs the model's blocks forward and backward on a batch of hidden states
with frozen weights, and prints the seconds that it took.
"""
import sys
import time

import torch
from transformers import AutoConfig, AutoModel

config_file, batch, tokens, threads = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(threads)
config = AutoConfig.from_pretrained(config_file)
model = AutoModel.from_config(config, dtype=torch.float32, attn_implementation="sdpa").eval()
for parameter in model.parameters():
    parameter.requires_grad_(False)
hidden = torch.randn(batch, tokens, config.hidden_size, requires_grad=True)
gradient = torch.randn(batch, tokens, config.hidden_size)
print("ready", flush=True)
for _ in sys.stdin:
    began = time.perf_counter()
    hidden.grad = None
    model(inputs_embeds=hidden, use_cache=False).last_hidden_state.backward(gradient)
    print(time.perf_counter() - began, flush=True)
