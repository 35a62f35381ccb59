"""Configs of families without experts: those of the fixtures, and random ones (see random_family.py)."""

SMALL = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=None)
LLAMA = dict(SMALL, num_key_value_heads=1, intermediate_size=48, max_position_embeddings=64)
# Its rotated halves are wide enough for the operator to rotate them.
WIDE = dict(LLAMA, hidden_size=64, intermediate_size=40)
YARN = dict(rope_type="yarn", factor=4.0, rope_theta=10000.0, original_max_position_embeddings=16)
LINEAR = dict(rope_type="linear", factor=2.0, rope_theta=10000.0)
DEFAULT = dict(rope_type="default", rope_theta=10000.0)


def partial(factor, rope=DEFAULT):
    return dict(rope, partial_rotary_factor=factor)


GPTJ = dict(
    model_type="gptj", vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=1, pad_token_id=None)

# name: see family.py's table
DENSE = {
    "olmo2": (dict(LLAMA, model_type="olmo2", attention_bias=True, tie_word_embeddings=True), 4, "eager", ""),
    "olmo3-yarn": (dict(
        LLAMA, model_type="olmo3", num_hidden_layers=3, sliding_window=4, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(full_attention=YARN, sliding_attention=dict(DEFAULT, rope_theta=500.0))), 5, "eager", ""),
    "olmo3-dialect4": (dict(
        LLAMA, model_type="olmo3", num_hidden_layers=4, sliding_window=4, hidden_size=40,
        rope_parameters=dict(full_attention=dict(LINEAR, rope_theta=5e5), sliding_attention=dict(DEFAULT, rope_theta=5e5))), 4, "eager", ""),
    "granite": (dict(
        LLAMA, model_type="granite", attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
        embedding_multiplier=12.0, attention_multiplier=0.3, residual_multiplier=0.22, logits_scaling=4.0), 4, "eager", ""),
    "smollm3": (dict(LLAMA, model_type="smollm3", num_hidden_layers=4, rope_parameters=DEFAULT), 4, "eager", ""),
    "smollm3-window-biases": (dict(
        LLAMA, model_type="smollm3", num_hidden_layers=3, no_rope_layers=[0, 1, 0], use_sliding_window=True, sliding_window=4,
        attention_bias=True, mlp_bias=True, tie_word_embeddings=False), 5, "eager", ""),
    "starcoder2-window": (dict(LLAMA, model_type="starcoder2", sliding_window=4), 4, "eager", ""),
    "starcoder2-nobias": (dict(LLAMA, model_type="starcoder2", use_bias=False, tie_word_embeddings=False, hidden_act="gelu"), 5, "eager", ""),
    "stablelm": (dict(LLAMA, model_type="stablelm", use_qkv_bias=True, rope_parameters=partial(0.25)), 4, "eager", ""),
    "stablelm-parallel-headnorms": (dict(
        WIDE, model_type="stablelm", num_key_value_heads=2, use_parallel_residual=True, qk_layernorm=True, tie_word_embeddings=True,
        rope_parameters=partial(0.5, LINEAR)), 5, "eager", ""),
    "glm": (dict(WIDE, model_type="glm", head_dim=32, rope_parameters=partial(0.5)), 4, "eager", ""),
    "glm4": (dict(
        LLAMA, model_type="glm4", head_dim=20, attention_bias=False, tie_word_embeddings=True, rope_parameters=partial(0.4, YARN)), 5, "eager", ""),
    "cohere-headnorms": (dict(LLAMA, model_type="cohere", use_qk_norm=True, rope_parameters=DEFAULT), 4, "eager", ""),
    "cohere-biases": (dict(
        LLAMA, model_type="cohere", hidden_size=40, attention_bias=True, logit_scale=0.5, tie_word_embeddings=False,
        rope_parameters=LINEAR), 5, "eager", ""),
    "cohere2": (dict(LLAMA, model_type="cohere2", num_hidden_layers=4, sliding_window=4, rope_parameters=DEFAULT), 4, "eager", ""),
    "phi": (dict(LLAMA, model_type="phi", num_key_value_heads=2, rope_parameters=partial(0.5)), 4, "eager", ""),
    "phi-headnorms": (dict(WIDE, model_type="phi", qk_layernorm=True, tie_word_embeddings=True, rope_parameters=partial(0.5, LINEAR)), 5, "eager", ""),
    "gpt-neox": (dict(SMALL, model_type="gpt_neox", intermediate_size=48, rope_parameters=partial(0.25)), 4, "eager", "gpt_neox."),
    "gpt-neox-sequential": (dict(
        WIDE, model_type="gpt_neox", use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new", tie_word_embeddings=True,
        rope_parameters=partial(0.5, LINEAR)), 5, "eager", ""),
    "gemma": (dict(LLAMA, model_type="gemma", head_dim=24, attention_bias=True, rope_parameters=DEFAULT), 4, "eager", ""),
    "nemotron-biases": (dict(LLAMA, model_type="nemotron", attention_bias=True, mlp_bias=True, rope_parameters=partial(0.5)), 4, "eager", ""),
    "exaone4-window": (dict(LLAMA, model_type="exaone4", num_hidden_layers=4, sliding_window=4, rope_parameters=YARN), 4, "eager", ""),
    "exaone4": (dict(LLAMA, model_type="exaone4", sliding_window=None, layer_types=["full_attention"] * 2, tie_word_embeddings=True), 5, "eager", ""),
    "seed-oss": (dict(LLAMA, model_type="seed_oss", head_dim=16, attention_out_bias=True, mlp_bias=True, rope_parameters=DEFAULT), 4, "eager", ""),
    "ernie4-5-biases": (dict(LLAMA, model_type="ernie4_5", head_dim=16, use_bias=True, rope_parameters=DEFAULT), 4, "eager", ""),
    "gptj": (dict(GPTJ, rotary_dim=4), 5, "eager", ""),
    "gptj-inner-tied": (dict(GPTJ, n_embd=64, rotary_dim=16, n_inner=40, tie_word_embeddings=True), 5, "eager", "transformer."),
}


ACTIVATIONS = ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "quick_gelu"]


def random_rope(rng):
    """Scalings that do not change within the greedy texts."""
    base = dict(rope_theta=rng.choice([100.0, 10000.0, 5e5]))
    kind = rng.choice(["default", "default", "linear", "llama3", "yarn"])
    if kind == "linear":
        return dict(base, rope_type=kind, factor=rng.choice([1.5, 4.0]))
    if kind == "llama3":
        return dict(base, rope_type=kind, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
    if kind == "yarn":
        return dict(base, rope_type=kind, factor=rng.choice([2.0, 8.0]), original_max_position_embeddings=16)
    return dict(base, rope_type=kind)


def random_partial(rng, head_dim, rope):
    parts = [size / head_dim for size in range(2, head_dim + 1, 2) if int(head_dim * (size / head_dim)) == size]
    return dict(rope, partial_rotary_factor=rng.choice(parts))


def random_sizes(rng, square=True):
    """`square`: the heads together are as wide as the hidden states."""
    heads = rng.choice([1, 2, 4])
    head_dim = rng.choice([8, 12, 16, 20, 32, 48])
    sizes = dict(
        vocab_size=rng.randrange(40, 100), hidden_size=heads * head_dim if square else 4 * rng.randrange(5, 20), num_hidden_layers=rng.randrange(1, 6),
        num_attention_heads=heads, num_key_value_heads=rng.choice([kv for kv in (1, 2, 4) if heads % kv == 0]), intermediate_size=rng.randrange(20, 80),
        max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=None, hidden_act=rng.choice(ACTIVATIONS),
        tie_word_embeddings=flag(rng))
    return (sizes if square else dict(sizes, head_dim=head_dim)), head_dim


def flag(rng):
    return rng.random() < 0.5


def some_square(rng):
    return random_sizes(rng, square=flag(rng))


def types_of(rng, sizes, *types):
    return [rng.choice(types) for _ in range(sizes["num_hidden_layers"])]


def random_olmo2(rng):
    sizes, _ = some_square(rng)
    return dict(sizes, rms_norm_eps=rng.choice([1e-6, 1e-3]), attention_bias=flag(rng), rope_parameters=random_rope(rng))


def random_olmo3(rng):
    values = random_olmo2(rng)
    windowed = dict(rope_type="default", rope_theta=values["rope_parameters"]["rope_theta"])
    values |= dict(sliding_window=rng.randrange(2, 8), rope_parameters=dict(full_attention=values["rope_parameters"], sliding_attention=windowed))
    if flag(rng):
        values["layer_types"] = types_of(rng, values, "sliding_attention", "full_attention")
    return values


def random_granite(rng):
    sizes, _ = some_square(rng)
    return dict(
        sizes, rms_norm_eps=rng.choice([1e-6, 1e-3]), attention_bias=flag(rng), mlp_bias=flag(rng), rope_parameters=random_rope(rng),
        embedding_multiplier=rng.choice([1, 12, 3.5]), attention_multiplier=rng.choice([0.0625, 0.25]),
        residual_multiplier=rng.choice([1.0, 0.22]), logits_scaling=rng.choice([1, 8, 0.5]))


def random_smollm3(rng):
    sizes, _ = some_square(rng)
    values = dict(sizes, attention_bias=flag(rng), mlp_bias=flag(rng), rope_parameters=random_rope(rng), use_sliding_window=flag(rng), sliding_window=rng.randrange(2, 8))
    if flag(rng):
        values["no_rope_layers"] = types_of(rng, sizes, 0, 1)
    else:
        values["no_rope_layer_interval"] = rng.randrange(1, 5)
    if flag(rng):
        values["layer_types"] = types_of(rng, sizes, "sliding_attention", "full_attention")
    return values


def random_starcoder2(rng):
    sizes, _ = some_square(rng)
    return dict(
        sizes, norm_epsilon=rng.choice([1e-5, 1e-3]), use_bias=flag(rng), sliding_window=rng.choice([None, 2, 3, 6]), rope_parameters=random_rope(rng))


def random_stablelm(rng):
    sizes, head_dim = random_sizes(rng)
    return dict(
        sizes, layer_norm_eps=rng.choice([1e-5, 1e-3]), use_qkv_bias=flag(rng), qk_layernorm=flag(rng), use_parallel_residual=flag(rng),
        rope_parameters=random_partial(rng, head_dim, random_rope(rng)))


def random_glm(rng):
    sizes, head_dim = random_sizes(rng, square=False)
    return dict(sizes, rms_norm_eps=rng.choice([1e-6, 1e-3]), attention_bias=flag(rng), rope_parameters=random_partial(rng, head_dim, random_rope(rng)))


def random_cohere(rng):
    sizes, _ = some_square(rng)
    return dict(
        sizes, layer_norm_eps=rng.choice([1e-5, 1e-3]), attention_bias=flag(rng), use_qk_norm=flag(rng), logit_scale=rng.choice([0.0625, 1.0, 2.5]),
        rope_parameters=random_rope(rng))


def random_cohere2(rng):
    sizes, _ = random_sizes(rng)
    values = dict(
        sizes, layer_norm_eps=rng.choice([1e-5, 1e-3]), attention_bias=flag(rng), logit_scale=rng.choice([0.25, 1.0]), rope_parameters=random_rope(rng),
        sliding_window=rng.randrange(2, 8))
    if flag(rng):
        values["layer_types"] = types_of(rng, sizes, "sliding_attention", "full_attention")
    return values


def random_phi(rng):
    sizes, head_dim = random_sizes(rng)
    return dict(sizes, layer_norm_eps=rng.choice([1e-5, 1e-3]), qk_layernorm=flag(rng), rope_parameters=random_partial(rng, head_dim, random_rope(rng)))


def random_gpt_neox(rng):
    sizes, head_dim = random_sizes(rng)
    del sizes["num_key_value_heads"]
    return dict(
        sizes, layer_norm_eps=rng.choice([1e-5, 1e-3]), use_parallel_residual=flag(rng), attention_bias=flag(rng),
        rope_parameters=random_partial(rng, head_dim, random_rope(rng)))


def random_gemma(rng):
    sizes, _ = random_sizes(rng, square=False)
    return dict(sizes, rms_norm_eps=rng.choice([1e-6, 1e-3]), attention_bias=flag(rng), rope_parameters=random_rope(rng))


def random_nemotron(rng):
    sizes, head_dim = random_sizes(rng)
    return dict(
        sizes, hidden_act=rng.choice([*ACTIVATIONS, "relu2"]), norm_eps=rng.choice([1e-5, 1e-3]), attention_bias=flag(rng), mlp_bias=flag(rng),
        rope_parameters=random_partial(rng, head_dim, random_rope(rng)))


def random_exaone4(rng):
    sizes, _ = some_square(rng)
    values = dict(sizes, rms_norm_eps=rng.choice([1e-5, 1e-3]), rope_parameters=random_rope(rng), sliding_window=rng.randrange(2, 8))
    kind = rng.randrange(3)
    if kind == 0:
        return dict(values, sliding_window=None, layer_types=["full_attention"] * sizes["num_hidden_layers"])
    return dict(values, layer_types=types_of(rng, sizes, "sliding_attention", "full_attention")) if kind == 1 else values


def random_seed_oss(rng):
    sizes, _ = random_sizes(rng, square=False)
    return dict(sizes, attention_bias=flag(rng), attention_out_bias=flag(rng), mlp_bias=flag(rng), rope_parameters=random_rope(rng))


def random_ernie4_5(rng):
    sizes, _ = random_sizes(rng, square=False)
    return dict(sizes, rms_norm_eps=rng.choice([1e-5, 1e-3]), use_bias=flag(rng), rope_parameters=random_rope(rng))


def random_gptj(rng):
    sizes, head_dim = random_sizes(rng)
    return dict(
        vocab_size=sizes["vocab_size"], n_embd=sizes["hidden_size"], n_layer=sizes["num_hidden_layers"], n_head=sizes["num_attention_heads"], n_positions=64,
        n_inner=rng.choice([None, 36]), activation_function=sizes["hidden_act"], rotary_dim=rng.randrange(2, head_dim + 1, 2),
        layer_norm_epsilon=rng.choice([1e-5, 1e-3]), tie_word_embeddings=flag(rng), bos_token_id=0, eos_token_id=1, pad_token_id=None)


RANDOM = dict(
    gemma=random_gemma, nemotron=random_nemotron, exaone4=random_exaone4, seed_oss=random_seed_oss, ernie4_5=random_ernie4_5, gptj=random_gptj,
    olmo2=random_olmo2, olmo3=random_olmo3, granite=random_granite, smollm3=random_smollm3, starcoder2=random_starcoder2, stablelm=random_stablelm,
    glm=random_glm, glm4=random_glm, cohere=random_cohere, cohere2=random_cohere2, phi=random_phi, gpt_neox=random_gpt_neox)
