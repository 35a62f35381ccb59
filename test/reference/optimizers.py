#!/usr/bin/env python3
"""
Records what torch's optimizers, transformers' schedules and torch's clipping make of given gradients, as
test/client/training/optimizers/reference.json: for each case the options (under our names), the values after every step and the
learning rates; for clipping the norm and the gradients.

usage: optimizers.py        (needs torch and transformers 5.17; the tests need neither)
"""
import json, os
import torch
from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, SIZE, RATE = 7, 6, 0.05
torch.manual_seed(0)
START = torch.randn(SIZE)
GRADIENTS = torch.randn(STEPS, SIZE) * torch.tensor([1, 0.1, 10, 1e-4, 1, 3])
GRADIENTS[2, 4] = 0

OPTIMIZERS = {
    "sgd": ({"name": "sgd"}, lambda p: torch.optim.SGD(p, RATE)),
    "sgd with momentum": ({"name": "sgd", "momentum": 0.9}, lambda p: torch.optim.SGD(p, RATE, momentum=0.9)),
    "sgd with decay": ({"name": "sgd", "momentum": 0.5, "weightDecay": 0.1}, lambda p: torch.optim.SGD(p, RATE, momentum=0.5, weight_decay=0.1)),
    "adam": ({"name": "adam"}, lambda p: torch.optim.Adam(p, RATE)),
    "adam with decay": ({"name": "adam", "weightDecay": 0.1, "betas": [0.8, 0.95], "eps": 1e-3},
                        lambda p: torch.optim.Adam(p, RATE, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    "adamw": ({}, lambda p: torch.optim.AdamW(p, RATE, weight_decay=0)),
    "adamw with decay": ({"name": "adamw", "weightDecay": 0.1}, lambda p: torch.optim.AdamW(p, RATE, weight_decay=0.1)),
}
SCHEDULES = {
    "constant": lambda o, warm, steps: get_constant_schedule_with_warmup(o, warm),
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
}


def optimized(make):
    values = torch.nn.Parameter(START.clone())
    optimizer = make([values])
    after = []
    for gradient in GRADIENTS:
        values.grad = gradient.clone()
        optimizer.step()
        after.append(values.detach().tolist())
    return after


def rates(make, warm, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = make(optimizer, warm, steps)
    found = []
    for _ in range(steps + 2):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def clipped(max_norm):
    parts = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(4))]
    parts[0].grad, parts[1].grad = GRADIENTS[0][:2].clone(), GRADIENTS[0][2:].clone()
    norm = torch.nn.utils.clip_grad_norm_(parts, max_norm)
    return {"maxNorm": max_norm, "norm": norm.item(), "gradients": torch.cat([part.grad for part in parts]).tolist()}


result = {
    "learningRate": RATE,
    "start": START.tolist(),
    "gradients": GRADIENTS.tolist(),
    "optimizers": {name: {"options": options, "values": optimized(make)} for name, (options, make) in OPTIMIZERS.items()},
    "schedules": [{"name": name, "warmupSteps": warm, "steps": steps, "factors": rates(make, warm, steps)}
                  for name, make in SCHEDULES.items() for warm, steps in ((0, 5), (3, 8), (4, 4))],
    "clipping": [clipped(1.0), clipped(1000.0)],
}
with open(f"{HERE}/../client/training/optimizers/reference.json", "w") as file:
    json.dump(result, file)
    file.write("\n")
