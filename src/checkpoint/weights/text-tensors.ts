import type { ExpertNames } from '../config/model-types/row.ts'
import { bareName, isBuffer } from './names.ts'
import type { TensorSlice } from './safetensors.ts'

/** The text model's tensors in a multimodal model, by their bare names; towers and projectors have other names. */
const TEXT = /^(?:layers\.\d|embed_tokens\.|norm\.|lm_head\.)/

/** More experts than any model has: what claims more is not taken apart. */
const MAX_EXPERTS = 4096

/** Whether a tensor of a multimodal model belongs to its text model. */
export function isOfText(name: string): boolean {
  return TEXT.test(bareName(name))
}

/** Whether a tensor is one that a model cannot do without, as far as its name tells. */
export function isOfModel(name: string, ends: readonly string[]): boolean {
  const bare = bareName(name)
  return ends.includes(bare) || (/(?:^|\.)(?:layers|h|blocks)\.\d+\./.test(bare) && !isBuffer(bare))
}

/**
 * The tensors with one name for each matrix of each expert, where the file has those of all experts of a layer in one
 * tensor (as transformers 5 writes them: `gate_up_proj` [experts, 2 * intermediate, hidden], gate before up, and
 * `down_proj` [experts, hidden, intermediate]). Each slice is a piece of the stored tensor; nothing is copied.
 */
export function splitExperts(
  tensors: ReadonlyMap<string, TensorSlice>,
  names: ExpertNames,
): ReadonlyMap<string, TensorSlice> {
  const split = new Map<string, TensorSlice>()
  for (const slice of tensors.values()) for (const part of partsOf(slice, names)) split.set(part.name, part)
  return split
}

function partsOf(slice: TensorSlice, { module, gate, up, down }: ExpertNames): TensorSlice[] {
  const { name, shape, byteLength } = slice
  const layer = /^(.*\blayers\.\d+\.)mlp\.(.+)$/.exec(name)
  if (layer === null) return [slice]
  const [, prefix = '', rest = ''] = layer
  const [count = 0, rows = 0, columns = 0] = shape
  const stored = `${prefix}${module}.`
  const isFused = shape.length === 3 && count <= MAX_EXPERTS && byteLength > 0
  const parts = rest === 'experts.gate_up_proj' ? [gate, up] : rest === 'experts.down_proj' ? [down] : []
  if (!isFused || parts.length === 0 || rows % parts.length !== 0)
    return [rest.startsWith('gate.') || rest.startsWith('experts.') ? { ...slice, name: stored + rest } : slice]
  const size = byteLength / count / parts.length
  return Array.from({ length: count }, (_, expert) =>
    parts.map((part, i) => ({
      ...slice,
      name: `${stored}experts.${expert}.${part}.weight`,
      offset: slice.offset + (expert * parts.length + i) * size,
      byteLength: size,
      shape: [rows / parts.length, columns],
    })),
  ).flat()
}
