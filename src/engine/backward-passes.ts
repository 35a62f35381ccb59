import { PetalsError, TimeoutError } from '../base/errors.ts'
import { convertInPieces } from '../tensor/convert.ts'
import { allFiniteInPieces } from '../tensor/finite.ts'
import { type Tensor, sliceRows } from '../tensor/tensor.ts'
import type { AdapterUse } from './adapters/adapters.ts'
import { type ForwardPassModules, type ForwardPassOptions, reasonOf } from './forward-passes.ts'
import { type GradientRequest, GradientSums, type ModuleGradient, ranksOf } from './gradient-sums.ts'
import { promptsOfStep } from './run/deep-prompts.ts'
import { type MatrixPlace, placeGradients } from './run/gradient-places.ts'
import type { Turns } from './schedule/turns.ts'
import { checkHidden, checkPrompts, checkSessionLength, checkSpan } from './session/limits.ts'
import type { Training } from './training.ts'

export interface BackwardPassOptions extends ForwardPassOptions {
  /** Whether the gradients of the adapter's matrices are wanted. */
  readonly adapterGradients?: boolean | undefined
}

export interface BackwardPassModules extends ForwardPassModules {
  readonly training: Training
  /** Backward passes hold memory: one has a turn at a time. */
  readonly turns: Turns
}

/** What a backward pass gives. */
export interface PassGradients {
  /** [sequences, tokens, hidden]: with respect to the input. */
  readonly hidden: Tensor
  /** [blocks, positions, hidden]: with respect to the deep prompts, summed over the sequences. */
  readonly prompts?: Tensor | undefined
  /** Where they were asked for: of the adapter's modules in these blocks. */
  readonly modules?: readonly ModuleGradient[] | undefined
}

/**
 * The gradients of a loss with respect to what goes into some blocks: `hidden` [sequences, tokens, hidden], deep prompts
 * and the matrices of an adapter, from `gradient`, the one with respect to the blocks' output, in the shape of `hidden`.
 * The blocks are computed forward again; nothing is kept. Both buffers are taken over. Throws as `forwardPass`, and
 * `TRAINING_OFF`, `TRAINING_MEMORY`, and `TENSOR_NONFINITE` where a gradient overflows.
 */
export async function backwardPass(
  modules: BackwardPassModules,
  hidden: Tensor,
  gradient: Tensor,
  options: BackwardPassOptions,
): Promise<PassGradients> {
  const { config, dtype, span, adapters, training } = modules
  const { start, end, adapter, prompts, timeoutMs, signal } = options
  checkSpan(span, { start, end })
  checkHidden(hidden, 3, { dtype, hiddenSize: config.hiddenSize })
  checkGradient(gradient, hidden)
  const [sequences = 0, tokens = 0] = hidden.shape
  checkSessionLength(config, tokens)
  if (prompts !== undefined) checkPrompts(prompts, end - start, config.hiddenSize)
  training.divide({ blocks: end - start, sequences, tokens, ranks: 0 })
  const late = new TimeoutError(`a backward pass of ${sequences} sequences of ${tokens} tokens`, timeoutMs)
  const ended = new AbortController()
  const onAbort = (): void => ended.abort(reasonOf(signal))
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  const timer = setTimeout(() => ended.abort(late), timeoutMs)
  let use: AdapterUse | undefined
  try {
    const converted = prompts && (await convertInPieces(prompts, dtype))
    use = adapter === undefined ? undefined : await adapters.acquire(adapter)
    await training.prepare(use !== undefined, (prepared) => modules.thread.tell({ type: 'train', training: prepared }))
    const found = await inGroups(modules, { hidden, gradient, prompts: converted, use }, options, ended.signal)
    await checkFinite(found)
    return found
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    use?.release()
  }
}

/** Sequences pass in groups that fit into the memory, of which one of all passes is computed at a time. */
async function inGroups(
  { span, adapters, training, turns, thread }: BackwardPassModules,
  { hidden, gradient, prompts, use }: GradientRequest,
  { client = '', adapterGradients = false, ...range }: BackwardPassOptions,
  signal: AbortSignal,
): Promise<PassGradients> {
  const blocks = { start: range.start - span.start, end: range.end - span.start }
  const [sequences = 0, tokens = 0] = hidden.shape
  const { groupRows, ...cut } = training.divide({
    blocks: range.end - range.start,
    sequences,
    tokens,
    ranks: use?.range.ranks ?? 0,
  })
  const stacks = adapters.stacks?.slice(blocks.start, blocks.end) ?? []
  const ranks = use && ranksOf(use, stacks, range.start)
  const sums = new GradientSums(hidden)
  let matrices: readonly MatrixPlace[] = []
  for (let row = 0; row < sequences; row += groupRows) {
    const rows = Math.min(groupRows, sequences - row)
    const endTurn = await turns.take(client, signal)
    try {
      const input = {
        hidden: sliceRows(hidden, row, row + rows).data,
        adapter: use?.range,
        prompts: promptsOfStep(prompts, 0, tokens),
        backward: { ...cut, gradient: sliceRows(gradient, row, row + rows).data, ranks, adapterGradients },
      }
      ;({ matrices } = placeGradients(stacks, input))
      const { output, cancel } = thread.compute({ kind: 'backward', client, ...blocks, sequences: rows, tokens }, input)
      const onAbort = (): void => cancel(signal.reason as Error)
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        sums.add(row, rows, await output)
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    } finally {
      endTurn(rows * tokens)
    }
  }
  return {
    hidden: sums.hidden,
    ...(prompts !== undefined && { prompts: sums.prompts(prompts.shape) }),
    ...(use !== undefined && adapterGradients && { modules: sums.modules(use, stacks, matrices, range.start) }),
  }
}

/** Throws `TENSOR_SHAPE` for anything but float32 in the shape of the hidden states. */
function checkGradient({ dtype, shape }: Tensor, hidden: Tensor): void {
  if (dtype === hidden.dtype && shape.join() === hidden.shape.join()) return
  throw new PetalsError(
    'TENSOR_SHAPE',
    `a gradient ${dtype} [${shape}]: expected ${hidden.dtype} [${hidden.shape}], as the hidden states are`,
  )
}

async function checkFinite({ hidden, prompts, modules = [] }: PassGradients): Promise<void> {
  const all = [hidden, prompts, ...modules.flatMap(({ a, b }) => [a, b])]
  for (const values of all)
    if (values !== undefined && !(await allFiniteInPieces(values)))
      throw new PetalsError(
        'TENSOR_NONFINITE',
        'a gradient overflowed: the loss, or what it was scaled by, is too large',
      )
}
