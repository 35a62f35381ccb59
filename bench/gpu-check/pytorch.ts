import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import type { Shape } from './synthetic.ts'

export interface ReferenceOptions {
  readonly shape: Shape
  readonly dtype: FloatDType
  readonly batches: readonly number[]
  readonly cachedTokens: number
  readonly steps: number
  /** As torch names it. */
  readonly device: string
}

/** One figure of PyTorch's, or why there is none. */
export type ReferenceLine =
  | { readonly name: string; readonly ms: number }
  | { readonly name: string; readonly error: string }

/** Compiling takes minutes. */
const TIMEOUT_MS = 15 * 60_000

/**
 * Runs the same shape in this machine's transformers; `onLine` is told each figure. Returns why it could not, or
 * undefined.
 */
export async function runReference(
  { shape, dtype, batches, cachedTokens, steps, device }: ReferenceOptions,
  onLine: (line: ReferenceLine) => void,
): Promise<string | undefined> {
  const script = fileURLToPath(new URL('./reference.py', import.meta.url))
  const { numBlocks, hiddenSize, intermediateSize, numHeads, numKvHeads } = shape
  const numbers = Object.entries({
    blocks: numBlocks,
    hidden: hiddenSize,
    intermediate: intermediateSize,
    heads: numHeads,
    'kv-heads': numKvHeads,
    cached: cachedTokens,
    steps,
  }).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(
    'python3',
    [script, ...numbers, '--batches', ...batches.map(String), '--dtype', dtype, '--device', device],
    { stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS },
  )
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => {
    complaint = (complaint + text.toString()).slice(-2000)
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) onLine(JSON.parse(line) as ReferenceLine)
  })
  child.on('error', (error) => resolve(`python3 cannot be started: ${error.message}`))
  child.on('close', (code, signal) =>
    resolve(code === 0 ? undefined : `python3 ended with ${signal ?? code}: ${complaint.trim().split('\n').at(-1)}`),
  )
  return promise
}
