import type { TensorSlice } from './safetensors.ts'

/**
 * A tensor's name without the prefix that a class around the bare model adds: `model.`, `transformer.`,
 * `language_model.` or `text_model.`.
 */
export function bareName(name: string): string {
  return name.replace(/^(?:(?:language_model|text_model|model|transformer)\.)+/, '')
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

/** Whether a tensor is a table that follows from config.json: some tools store it, others do not. */
export function isBuffer(name: string): boolean {
  return /(?:^|\.)rotary(?:_emb)?\.(?:original_)?(?:inv_freq|cos_cached|sin_cached)$/.test(name)
}
