import { setImmediate as nextTurn } from 'node:timers/promises'
import { SwarmError } from '../../swarm/errors.ts'
import { RPC_LIMITS } from '../../swarm/limits.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'

/** The most tokens of a piece, as in Petals. A single sequence may have more: sequences are never cut. */
const MAX_TOKENS = 1024

/** Fewer tokens than these make poor use of a server, and a batch of more is shared out among so many at least. */
const MIN_TOKENS = 256
const MIN_PIECES = 4

/** Bytes that are copied before the event loop gets a turn: a few milliseconds. */
const COPY_BYTES = 8 << 20

/** What bounds the pieces of a batch. */
export interface PieceBounds {
  /** Tensors of a piece's size that one message carries. */
  readonly tensors: number
  /** Bytes that each message carries besides. */
  readonly otherBytes: number
}

/**
 * Cuts a batch [batch, tokens, hidden] into pieces of whole sequences, without a copy. How, depends on the batch alone,
 * so that sums over pieces do not depend on who computes them. Throws `SWARM_TOO_LARGE` if one sequence does not fit
 * into a message.
 */
export function pieces(hidden: Tensor, { tensors, otherBytes }: PieceBounds): Tensor[] {
  const [batch = 0, tokens = 0] = hidden.shape
  const rowBytes = tensors * (hidden.data.byteLength / batch)
  const frameBytes = RPC_LIMITS.forward.payloadBytes - otherBytes
  if (rowBytes > frameBytes) {
    throw new SwarmError(
      'SWARM_TOO_LARGE',
      `one sequence of ${tokens} tokens takes ${rowBytes} bytes, a message has room for ${Math.max(0, frameBytes)}: ` +
        'cut it into shorter ones',
    )
  }
  const maxRows = Math.max(1, Math.min(Math.floor(MAX_TOKENS / tokens), Math.floor(frameBytes / rowBytes)))
  const shared = Math.min(MIN_PIECES, Math.floor((batch * tokens) / MIN_TOKENS))
  const count = Math.min(batch, Math.max(1, Math.ceil(batch / maxRows), shared))
  const bound = (i: number): number => Math.floor((i * batch) / count)
  return Array.from({ length: count }, (_, i) => sliceRows(hidden, bound(i), bound(i + 1)))
}

/** Puts pieces of a batch together again, in their order. */
export async function joined(parts: readonly Tensor[]): Promise<Tensor> {
  const [first] = parts
  if (parts.length === 1) return first!
  const data = new Uint8Array(parts.reduce((sum, { data }) => sum + data.byteLength, 0))
  let offset = 0
  for (const part of parts) {
    for (let start = 0; start < part.data.byteLength; start += COPY_BYTES) {
      const chunk = part.data.subarray(start, start + COPY_BYTES)
      data.set(chunk, offset)
      offset += chunk.byteLength
      if (chunk.byteLength === COPY_BYTES) await nextTurn()
    }
  }
  const batch = parts.reduce((sum, { shape }) => sum + shape[0]!, 0)
  return { dtype: first!.dtype, shape: [batch, ...first!.shape.slice(1)], data }
}
