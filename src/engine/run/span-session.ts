import { chain, nameInCopy } from '../../graph/chain.ts'
import { type FinishedGraph, encodeModel } from '../../graph/encode.ts'
import { fuseSkipNorms } from '../../graph/skip-norm.ts'
import type { Device } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type ResidentSessionOptions, createResidentSession } from '../../runtime/session.ts'
import type { ResidentBlock } from '../loading/resident.ts'

/** A session over some blocks of a span. */
export interface ChainedSession {
  readonly pointer: Pointer
  /** By their names; sessions of some blocks need less than others. */
  readonly inputs: ReadonlySet<string>
}

/** What a session is made of: a graph for each of the blocks. `own`: inputs that each block has for itself. */
export interface ChainedBlocks {
  readonly graphs: readonly FinishedGraph[]
  readonly blocks: readonly ResidentBlock[]
  readonly own: readonly string[]
}

/**
 * One session for several blocks, whose weights are those of all other sessions; a sum and the norm behind it are one
 * operator, also over the ends of blocks. Throws `RuntimeError`.
 */
export function createChainedSession(
  env: Environment,
  device: Device,
  { graphs, blocks, own }: ChainedBlocks,
  options: ResidentSessionOptions,
): ChainedSession {
  const graph = fuseSkipNorms(chain(graphs, { input: 'hidden', output: 'output', own }))
  const inline = new Map(
    blocks.flatMap((block, i) => [...block.inline].map(([name, tensor]) => [nameInCopy(i, name), tensor] as const)),
  )
  const weights = blocks.flatMap((block, i) =>
    block.weights.map((weight) => ({ ...weight, name: nameInCopy(i, weight.name) })),
  )
  const pointer = createResidentSession(env, device, encodeModel(graph, inline), weights, options)
  return { pointer, inputs: new Set(graph.inputs.map(({ name }) => name)) }
}
