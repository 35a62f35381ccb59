import type { Value } from '../../graph/value.ts'

/** The names of a block's norms; those that are absent are left out. */
export interface BlockNorms {
  readonly beforeAttention?: string
  readonly afterAttention?: string
  readonly beforeMlp?: string
  readonly afterMlp?: string
}

/** The parts of a block: each takes and returns [rows, tokens, hidden]. */
export interface BlockParts {
  readonly norms: BlockNorms
  norm(x: Value, name: string): Value
  attention(x: Value): Value
  mlp(x: Value): Value
  /** Adds what attention and MLP yield to the hidden states. */
  add(hidden: Value, change: Value, name: string): Value
}

/** A block whose attention comes first, and whose MLP reads what attention has changed. */
export function sequentialBlock(parts: BlockParts, hidden: Value): Value {
  const { beforeAttention, afterAttention, beforeMlp, afterMlp } = parts.norms
  const norm = (x: Value, name: string | undefined) => (name === undefined ? x : parts.norm(x, name))
  const attended = norm(parts.attention(norm(hidden, beforeAttention)), afterAttention)
  const middle = parts.add(hidden, attended, 'attention_residual')
  return parts.add(middle, norm(parts.mlp(norm(middle, beforeMlp)), afterMlp), 'mlp_residual')
}

/**
 * A block whose attention and MLP read the same hidden states (Wang and Komatsuzaki, "GPT-J-6B"); without a norm of its
 * own before it, the MLP reads attention's.
 */
export function parallelBlock(parts: BlockParts, hidden: Value): Value {
  const { beforeAttention, beforeMlp } = parts.norms
  const norm = (name: string | undefined) => (name === undefined ? hidden : parts.norm(hidden, name))
  const x = norm(beforeAttention)
  const y = beforeMlp === undefined ? x : norm(beforeMlp)
  return parts.add(parts.add(hidden, parts.attention(x), 'attention_residual'), parts.mlp(y), 'mlp_residual')
}
