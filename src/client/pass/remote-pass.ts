import { Owned } from '../../base/owned.ts'
import { orAborted } from '../../base/abort.ts'
import { PetalsError, UsageError } from '../../base/errors.ts'
import { allFiniteInPieces } from '../../tensor/finite.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import { type PassGradients, SharedGradients } from './gradients.ts'
import type { PassAccess } from './pass-access.ts'
import { KeptParts } from './kept-parts.ts'
import { PROCESS_PASS_MEMORY } from './pass-memory.ts'
import type { PassOptions, PassPart, PassPlan, PieceRange } from './pass-plan.ts'
import { PieceWay } from './piece-way.ts'
import { joined, pieces } from './split.ts'

/** The tensors of hidden states that a request for a forward and for a backward pass carries. */
const FORWARD_TENSORS = 1
const BACKWARD_TENSORS = 2

/** How one backward pass is computed. */
export interface BackwardOptions {
  /** Ends the pass, on all servers. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Computes blocks `start` to `end` on whole sequences, `hidden` [batch, tokens, hidden]; returns the same shape and
 * dtype. The batch goes in pieces, over several servers where they hold the blocks; a server that fails is replaced.
 * Throws `TENSOR_NONFINITE`, `SWARM_TOO_LARGE`, `NO_ROUTE`, the error of the last server that was tried, or the
 * signal's reason.
 */
export async function forwardPass(swarm: PassAccess, hidden: Tensor, options: PassOptions): Promise<Tensor> {
  const plan = planOf(options, undefined)
  const inputs = await piecesOf(hidden, plan, FORWARD_TENSORS)
  const { start, end } = plan
  const outputs = await together(inputs, options.signal, (input, _, signal) =>
    new PieceWay(swarm, plan, signal).forward({ start, end, input }),
  )
  return await joined(outputs)
}

/**
 * As `forwardPass`, and keeps each span's input, so that the pass can be asked for gradients. Throws `PASS_MEMORY` as
 * well.
 */
export async function recordedPass(swarm: PassAccess, hidden: Tensor, options: PassOptions): Promise<RemotePass> {
  const plan = planOf(options, hidden)
  const inputs = await piecesOf(hidden, plan, BACKWARD_TENSORS)
  const { start, end } = plan
  const memory = swarm.passMemory ?? PROCESS_PASS_MEMORY
  memory.require(hidden.data.byteLength)
  using undo = new Owned()
  const kept = undo.use(new KeptParts(memory, inputs.length))
  const outputs = await together(inputs, options.signal, (input, piece, signal) =>
    new PieceWay(swarm, plan, signal).forward({ start, end, input }, (part) => kept.add(piece, part)),
  )
  const output = await joined(outputs)
  undo.move()
  return new RemotePass(swarm, plan, { output, kept })
}

/**
 * The gradients of one forward pass that nobody has kept: of blocks `start` to `end` from `gradient`, that of their
 * output, in the shape of `hidden`. Blocks of all spans but the last are computed once for their outputs. Throws as
 * `forwardPass`, and `TENSOR_SHAPE`.
 */
export async function backwardPass(
  swarm: PassAccess,
  hidden: Tensor,
  gradient: Tensor,
  options: PassOptions,
): Promise<PassGradients> {
  const plan = planOf(options, hidden)
  const inputs = await piecesOf(hidden, plan, BACKWARD_TENSORS)
  const { start, end, signal } = plan
  const todo = inputs.map((input): PieceRange[] => [{ start, end, input }])
  return await gradientsOf(swarm, plan, { todo, shape: hidden.shape, gradient, signal, onParts: () => undefined })
}

/**
 * A forward pass that can be asked for its gradients, several times if need be, until it is released. It keeps the
 * input of each span; the batch that it was made from must not change meanwhile.
 */
export class RemotePass implements Disposable {
  /** [batch, tokens, hidden]. */
  readonly output: Tensor
  readonly #swarm: PassAccess
  readonly #plan: PassPlan
  readonly #kept: KeptParts

  /** Called by `recordedPass`. */
  constructor(swarm: PassAccess, plan: PassPlan, { output, kept }: { output: Tensor; kept: KeptParts }) {
    this.#swarm = swarm
    this.#plan = plan
    this.output = output
    this.#kept = kept
  }

  /** Bytes of the inputs that are kept, the batch itself included. */
  get bytes(): number {
    return this.#kept.bytes
  }

  /** The servers that computed it, by peer id: how many sequences each was given, and of which blocks. */
  get route(): readonly {
    readonly peerId: string
    readonly start: number
    readonly end: number
    readonly rows: number
  }[] {
    return (this.#kept.pieces ?? []).flat().map(({ span: { server, start, end }, input }) => {
      return { peerId: server.peerId, start, end, rows: input.shape[0]! }
    })
  }

  /**
   * The gradients with respect to the batch, to deep prompts and to a trained adapter, from that of the output, which
   * has its shape. Servers compute the forward pass again; those that are gone are replaced. Throws `TENSOR_SHAPE`,
   * `TENSOR_NONFINITE`, `USAGE` after `release`, `NO_ROUTE`, the error of the last server that was tried, or the
   * signal's reason.
   */
  async backward(gradient: Tensor, { signal }: BackwardOptions = {}): Promise<PassGradients> {
    const todo = this.#kept.pieces
    if (todo === undefined) throw new UsageError('the pass was released: its gradients cannot be computed any more')
    const onParts = (piece: number, found: PassPart[]): void => this.#kept.replace(piece, found)
    const { shape } = this.output
    return await gradientsOf(this.#swarm, this.#plan, { todo, shape, gradient, signal, onParts })
  }

  /** Forgets the inputs that were kept. */
  release(): void {
    this.#kept[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/** What is to be computed backward. */
interface BackwardWork {
  /** Of each piece, what is there of the forward pass. */
  readonly todo: readonly (readonly (PassPart | PieceRange)[])[]
  /** The shape of the output. */
  readonly shape: readonly number[]
  readonly gradient: Tensor
  readonly signal: AbortSignal | undefined
  /** Called with who computed which blocks of a piece in the end. */
  readonly onParts: (piece: number, parts: PassPart[]) => void
}

async function gradientsOf(
  swarm: PassAccess,
  plan: PassPlan,
  { todo, shape, gradient, signal, onParts }: BackwardWork,
): Promise<PassGradients> {
  if (String(gradient.shape) !== String(shape))
    throw new PetalsError('TENSOR_SHAPE', `a gradient [${gradient.shape}] of an output [${shape}]: expected its shape`)
  await checkFinite('those of the gradient', gradient)
  const shared = new SharedGradients()
  // Gradients are added in the order of pieces, so that sums do not depend on which piece was done first.
  const added = todo.map(() => Promise.withResolvers<void>())
  let row = 0
  const work = todo.map((parts) => {
    const from = row
    row += parts[0]!.input.shape[0]!
    return { parts, gradient: sliceRows(gradient, from, row) }
  })
  const ofHidden = await together(work, signal, async ({ parts, gradient }, i, signal) => {
    const spans = await new PieceWay(swarm, plan, signal).backward(parts, gradient)
    onParts(
      i,
      spans.map(({ part }) => part),
    )
    if (i > 0) await orAborted(added[i - 1]!.promise, signal)
    await shared.add(spans)
    added[i]!.resolve()
    return spans[0]!.hidden
  })
  const isTrained = plan.adapter?.trained(plan) !== undefined
  return {
    hidden: await joined(ofHidden),
    prompts: shared.prompts,
    adapter: isTrained ? shared.modules : undefined,
  }
}

/** Works on all items at once; returns the results in order. The first failure ends the others. */
async function together<T, R>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, index: number, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  signal?.throwIfAborted()
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const working = items.map(async (item, i) => {
      try {
        return await work(item, i, stop.signal)
      } catch (error) {
        stop.abort(error)
        throw error
      }
    })
    const settled = await Promise.allSettled(working)
    if (stop.signal.aborted) throw stop.signal.reason
    return settled.map((result) => (result as PromiseFulfilledResult<R>).value)
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

function planOf(options: PassOptions, recorded: Tensor | undefined): PassPlan {
  return { ...options, gradientTokens: recorded?.shape[1], digests: new Map(), refusals: new Map() }
}

async function piecesOf(hidden: Tensor, { prompts }: PassPlan, tensors: number): Promise<Tensor[]> {
  await checkFinite('the hidden states', hidden)
  if (prompts !== undefined) await checkFinite('the deep prompts', prompts)
  return pieces(hidden, { tensors, otherBytes: prompts?.data.byteLength ?? 0 })
}

async function checkFinite(what: string, values: Tensor): Promise<void> {
  if (!(await allFiniteInPieces(values)))
    throw new PetalsError('TENSOR_NONFINITE', `NaN or infinite values are among ${what}`)
}
