import { attentionForms } from '../../../families/graphs/cache-graphs.ts'
import { blockGraphs } from '../../../families/graphs/graphs.ts'
import type { Graph } from '../../../graph/builder.ts'
import type { Environment } from '../../../runtime/environment.ts'
import { threadRuntime } from '../../../runtime/thread-runtime.ts'
import { BufferCache } from '../../cache/buffers/buffer-cache.ts'
import { BufferMover } from '../../cache/buffers/buffer-mover.ts'
import { cacheBytes } from '../../cache/rows/row-memory.ts'
import type { BatchModules, BatchRunnerOptions, PrepareListener } from '../batch-modules.ts'
import type { RopeTables } from '../rope-tables.ts'
import { longestRightRun } from './attention-check.ts'
import { BufferBatchRunner } from './buffer-batch-runner.ts'
import { type BufferSessionForm, nameOfForm } from './buffer-sessions.ts'
import { BufferRunner } from './buffer-runner.ts'
import { warmUp } from './warm-up.ts'

/** Graphs by the forms that they are built in. */
type Graphs = Map<string, readonly Graph[]>

/** The cache of a span whose sequences have buffers of their own, and what runs its batches. */
export function createBufferModules(
  env: Environment,
  { config, span, limits }: BatchRunnerOptions,
  ropes: RopeTables,
  onPrepared: PrepareListener,
): BatchModules {
  const { device, dtype, quant, start, resident = [] } = span
  const heap = threadRuntime.buffers()
  const tokenBytes = cacheBytes(span)
  const built: Graphs = new Map()
  const graphs = (form: BufferSessionForm): readonly Graph[] => {
    const { rows, adapted, prompted } = form
    const name = nameOfForm(form)
    const target = { device: device.kind, dtype, quant, ownRows: rows, adapters: adapted, prompted }
    const found = built.get(name) ?? blockGraphs(config, target, start, start + resident.length)
    built.set(name, found)
    return found
  }
  const maxRows = 2 ** Math.floor(Math.log2(limits.maxBatchRows))
  const maxTokens = Math.max(maxRows, limits.prefillChunkTokens, limits.passPieceTokens)
  const fuses = quant === 'int4'
  const mover = new BufferMover(env, heap, device, span, tokenBytes)
  const cache = new BufferCache({ heap, mover, numBlocks: resident.length, tokenBytes })
  const rightTokens = longestRightRun(env, heap, device, {
    numHeads: config.numHeads,
    kvHeads: span.kvHeads,
    headDim: span.cacheHeadDim,
    dtype,
    forms: attentionForms([...new Set(graphs({ rows: 1, adapted: false, prompted: false }))]),
  })
  const runner = new BufferRunner({ env, heap, graphs, fuses }, span, { maxRows, maxTokens, rightTokens })
  warmUp({ span, cache, runner, ropes, maxRows, maxTokens }, onPrepared)
  return { cache, runner: new BufferBatchRunner({ cache, runner, ropes }, { ...limits, maxRows }) }
}
