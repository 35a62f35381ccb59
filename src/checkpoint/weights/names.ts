import type { TensorSlice } from './safetensors.ts'

/**
 * A tensor's name without the prefix that a class around the bare model adds: `model.`, `transformer.`,
 * `gpt_neox.`, `language_model.` or `text_model.`.
 */
export function bareName(name: string): string {
  return name.replace(/^(?:(?:language_model|text_model|model|transformer|gpt_neox)\.)+/, '')
}

const byBareName = new WeakMap<ReadonlyMap<string, TensorSlice>, ReadonlyMap<string, TensorSlice>>()

/** The tensor with this name, with or without the prefix that `bareName` removes; undefined if there is none. */
export function findTensor(tensors: ReadonlyMap<string, TensorSlice>, name: string): TensorSlice | undefined {
  const exact = tensors.get(name)
  if (exact !== undefined) return exact
  const bare = byBareName.get(tensors) ?? new Map([...tensors].map(([stored, slice]) => [bareName(stored), slice]))
  byBareName.set(tensors, bare)
  return bare.get(bareName(name))
}

/**
 * Tables that follow from config.json, which some tools store and others do not, and scales of activations and of a
 * quantized KV cache, which nothing is computed with here.
 */
const BUFFERS = [
  /(?:^|\.)rotary(?:_emb)?\.(?:original_)?(?:inv_freq|cos_cached|sin_cached)$/,
  /\.(?:k|v|q|kv|kv_cache|prob)_(?:scale|zero_point)$/,
  /\.(?:input|output|activation)_(?:scale|scale_inv|zero_point|global_scale)$/,
]

/** Whether a tensor is one that no model needs, whatever checkpoint it is stored in. */
export function isBuffer(name: string): boolean {
  return BUFFERS.some((pattern) => pattern.test(name))
}
