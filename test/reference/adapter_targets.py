"""Which modules PEFT changes by a LoRA config, and which key of a pattern it takes for them.

Usage: adapter_targets.py, from anywhere; needs peft 0.21. Writes test/checkpoint/adapter/targets.json.
"""
import json
from pathlib import Path
from types import SimpleNamespace

from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists
from peft.utils.other import get_pattern_key

PARTS = ["self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj", "mlp.experts.1.down_proj"]
MODULES = [f"model.layers.{i}.{part}" for i in (0, 1, 11) for part in PARTS] + ["lm_head", "q_proj", "model.my_q_proj"]
CONFIGS = [
    {"target_modules": ["q_proj", "down_proj"]},
    {"target_modules": ["q_proj"], "exclude_modules": ["layers.1.self_attn.q_proj"]},
    {"target_modules": ["q_proj", "k_proj"], "exclude_modules": r".*layers\.(0|11)\..*"},
    {"target_modules": r".*\.layers\.(0|1)\.self_attn\.[qk]_proj"},
    {"target_modules": "q_proj"},
    {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1]},
    {"target_modules": ["q_proj", "model.layers.0.mlp.down_proj"], "layers_to_transform": 11},
    {"target_modules": ["down_proj"], "layers_to_transform": [1, 0], "layers_pattern": ["layers"]},
    {"target_modules": ["down_proj"], "layers_to_transform": [1], "layers_pattern": "experts"},
    {"target_modules": ["down_proj"], "layers_to_transform": [1], "layers_pattern": ["h", "layers"]},
    {"target_modules": ["down_proj"], "layers_to_transform": [], "layers_pattern": []},
    {"target_modules": ["self_attn.q_proj", "lm_head"], "layers_to_transform": [0]},
]
PATTERNS = [["q_proj"], ["^q_proj", "down_proj"], [r"layers\.1\..*", "q_proj"], ["layers.1.mlp.down_proj", "down_proj"],
            ["^model.layers.0.self_attn.q_proj"], ["my_q_proj|lm_head"], [r"(0|1)\.self_attn\.k_proj"]]


def hit(config, module):
    full = {"exclude_modules": None, "layers_to_transform": None, "layers_pattern": None, "modules_to_save": None, **config}
    found = check_target_module_exists(SimpleNamespace(target_parameters=None, **full), module)
    return bool(found) and not isinstance(found, _ExcludedModule)


def key(keys, module):
    found = get_pattern_key(keys, module)
    return found if found in keys else None


out = Path(__file__).parents[1] / "checkpoint" / "adapter" / "targets.json"
out.write_text(json.dumps({
    "modules": MODULES,
    "targets": [{"config": config, "hits": [m for m in MODULES if hit(config, m)]} for config in CONFIGS],
    "patterns": [{"keys": keys, "found": [key(keys, m) for m in MODULES]} for keys in PATTERNS],
}, indent=1) + "\n")
