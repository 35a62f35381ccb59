import { RuntimeError } from '../../../runtime/errors.ts'
import { Owned } from '../../../base/owned.ts'
import { type AttentionForm, type AttentionKind, attentionGraph } from '../../../families/graphs/cache-graphs.ts'
import { encodeModel } from '../../../graph/encode.ts'
import { BoundRun } from '../../../runtime/bound-run.ts'
import { CPU, type Device } from '../../../runtime/device.ts'
import type { Environment } from '../../../runtime/environment.ts'
import type { Pointer } from '../../../runtime/library.ts'
import type { BufferHeap } from '../../../runtime/memory.ts'
import { createResidentSession } from '../../../runtime/session.ts'
import { TensorScope } from '../../../runtime/tensor-scope.ts'
import { memoryInfo } from '../../../runtime/values.ts'
import { convert } from '../../../tensor/convert.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../tensor/tensor.ts'

/** What attention of a span is like, and the forms of the operators in its blocks' graphs, each once. */
export interface SpanAttention extends AttentionKind {
  readonly forms: readonly AttentionForm[]
}

/** Tokens of the sequence that is checked: the library takes other kernels from 32 tokens a run on. */
const TOKENS = 48

/** Runs of fewer tokens than this are computed by the kernels for few of them. */
const FEW_TOKENS = 31
const PIECE = 16

/** Of values up to 1: a kernel's mistakes are far larger, float16 sums are smaller. */
const TOLERANCE = 0.02

/**
 * How many tokens of a sequence one run may have on this device, found out by computing attention in one run and in
 * short ones, and comparing with what it should be: drivers differ, and on adapters with subgroups of 8 the library's
 * kernel for 32 tokens and more gives wrong values, without an error. Throws `RUNTIME_KERNEL` where short runs are
 * wrong, too.
 */
export function longestRightRun(env: Environment, heap: BufferHeap, device: Device, kind: SpanAttention): number {
  const isRight = (piece: number): boolean =>
    kind.forms.every((form) => attendsRightly(env, { ...form, heap, device, kind, piece }))
  if (isRight(TOKENS)) return Infinity
  if (isRight(PIECE)) return FEW_TOKENS
  throw new RuntimeError('RUNTIME_KERNEL', 'this device computes attention wrongly: use --device cpu')
}

interface Check extends AttentionForm {
  readonly heap: BufferHeap
  readonly device: Device
  readonly kind: AttentionKind
  /** Tokens of one run. */
  readonly piece: number
}

function attendsRightly(env: Environment, check: Check): boolean {
  const { numHeads, kvHeads, headDim } = check.kind
  const [query, key, value] = [numHeads, kvHeads, kvHeads].map((heads, i) => waves(TOKENS, heads * headDim, i + 1)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const found = onDevice(env, check, { query, key, value })
  const expected = attend(check, { query, key, value })
  return found.every((x, i) => Math.abs(x - expected[i]!) < TOLERANCE)
}

interface Inputs {
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
}

/** Numbers between -1 and 1 of which no two rows are alike. */
function waves(rows: number, columns: number, kind: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * (0.7 + 0.31 * kind) + kind))
}

/** Queries are so large that a token attends to a few others most. */
function scaleOf({ headDim }: AttentionKind): number {
  return 4 / Math.sqrt(headDim)
}

/** What is added to the scores of a head for a position. */
function biasOf(head: number, position: number): number {
  return Math.sin(position * (1 + head / 3))
}

/** The score of a head that is no token's, about as large as theirs. */
function sinkOf(head: number): number {
  return 2 * Math.cos(head)
}

/** What attention gives by definition: [TOKENS, heads * headDim]. */
function attend({ kind, window = Infinity, biased, sinks }: Check, { query, key, value }: Inputs): Float32Array {
  const { numHeads, kvHeads, headDim } = kind
  const output = new Float32Array(query.length)
  for (let token = 0; token < TOKENS; token++)
    for (let head = 0; head < numHeads; head++) {
      const shared = Math.floor(head / (numHeads / kvHeads))
      const at = (position: number) => (position * kvHeads + shared) * headDim
      const own = (token * numHeads + head) * headDim
      const first = Math.max(0, token - window + 1)
      const scores = Array.from({ length: token - first + 1 }, (_, i) => {
        let sum = 0
        for (let channel = 0; channel < headDim; channel++) sum += query[own + channel]! * key[at(first + i) + channel]!
        return Math.exp(sum * scaleOf(kind) + (biased ? biasOf(head, first + i) : 0))
      })
      const total = scores.reduce((sum, score) => sum + score, sinks ? Math.exp(sinkOf(head)) : 0)
      for (const [i, score] of scores.entries())
        for (let channel = 0; channel < headDim; channel++)
          output[own + channel]! += (score / total) * value[at(first + i) + channel]!
    }
  return output
}

/** The same as the device computes it. */
function onDevice(env: Environment, check: Check, inputs: Inputs): Float32Array {
  const { heap, device, kind, piece } = check
  const { numHeads, kvHeads, headDim, dtype } = kind
  const { ort } = env
  using undo = new Owned()
  const session = undo.adopt(
    createResidentSession(env, device, encodeModel(attentionGraph(kind, check, scaleOf(kind)), new Map()), [], {
      cudaGraphs: false,
      workspaceBytes: 0,
    }),
    (pointer) => ort.release('ReleaseSession', pointer),
  )
  const memory = undo.adopt(memoryInfo(ort, device), (own) => ort.release('ReleaseMemoryInfo', own))
  const host = undo.adopt(memoryInfo(ort, CPU), (own) => ort.release('ReleaseMemoryInfo', own))
  const allocate = (bytes: number): Pointer => undo.adopt(heap.allocate(bytes), (buffer) => heap.free(buffer))
  const cacheShape = [1, kvHeads, TOKENS, headDim]
  const cacheBytes = TOKENS * kvHeads * headDim * 4
  const caches = { key: allocate(cacheBytes), value: allocate(cacheBytes) }
  const buffers = new Map([...Object.keys(inputs), 'output'].map((name) => [name, allocate(inputs.query.byteLength)]))
  const lengths = allocate(4)
  const bias = allocate(numHeads * TOKENS * TOKENS * 4)
  const sinks = allocate(numHeads * 4)
  const sinkScores = Float32Array.from({ length: numHeads }, (_, head) => sinkOf(head))
  heap.write(sinks, convert(fromFloat32(sinkScores, [numHeads]), dtype).data)
  const found = new Float32Array(inputs.query.length)
  for (let from = 0; from < TOKENS; from += piece) {
    const scope = new TensorScope(ort)
    const put = (name: string, values: Float32Array): Tensor => {
      const width = values.length / TOKENS
      const tensor = convert(fromFloat32(values.slice(from * width, (from + piece) * width), [1, piece, width]), dtype)
      heap.write(buffers.get(name)!, tensor.data)
      return tensor
    }
    const bound = Object.entries(inputs).map(
      ([name, values]) => [name, scope.wrap(memory, dtype, put(name, values).shape, buffers.get(name)!)] as const,
    )
    heap.write(lengths, new Uint8Array(Int32Array.of(from + piece - 1).buffer))
    const cached = Object.entries(caches).map(
      ([part, buffer]) => [part, scope.wrap(memory, dtype, cacheShape, buffer)] as const,
    )
    const total = from + piece
    const biases = Float32Array.from({ length: numHeads * piece * total }, (_, i) =>
      biasOf(Math.floor(i / (piece * total)), i % total),
    )
    const added = convert(fromFloat32(biases, [1, numHeads, piece, total]), dtype)
    if (check.biased) heap.write(bias, added.data)
    const width = found.length / TOKENS
    using run = new BoundRun(
      ort,
      session,
      scope,
      [
        ...bound,
        ...cached.map(([part, pointer]) => [`past_${part}`, pointer] as const),
        ['lengths', scope.wrap(memory, 'int32', [1], lengths)],
        ['total', scope.wrap(host, 'int32', [1], Int32Array.of(total))],
        ...(check.biased ? [['bias', scope.wrap(memory, dtype, added.shape, bias)] as const] : []),
        ...(check.sinks ? [['sinks', scope.wrap(memory, dtype, [numHeads], sinks)] as const] : []),
      ],
      [
        ['output', scope.wrap(memory, dtype, [1, piece, width], buffers.get('output')!)],
        ...cached.map(([part, pointer]) => [`present_${part}`, pointer] as const),
      ],
    )
    run.run()
    const output = convert(fromFloat32(new Float32Array(piece * width), [1, piece, width]), dtype)
    heap.read(buffers.get('output')!, output.data)
    found.set(asFloat32(convert(output, 'float32')), from * width)
  }
  return found
}
