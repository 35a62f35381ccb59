import { shortPeer } from '../../../swarm/short-peer.ts'
import { describeWaiting } from '../../terminal/text-printer.ts'
import { AutoDistributedModelForCausalLM } from '../../../client/model/model.ts'
import type { RouteHop } from '../../../client/session/server/route-hop.ts'
import { isRounded, type ServerChoiceOptions } from '../../../client/remote/routes/server-choice.ts'
import type { Golden } from '../../../client/verification/golden.ts'
import type { VerifyRow } from '../../../client/verification/rows.ts'
import { uncheckable, verifyPartition } from '../../../client/verification/verify.ts'
import type { FloatDType } from '../../../tensor/dtype.ts'
import type { SwarmLogger } from '../../../swarm/node/node.ts'
import { startLocalSwarm } from '../../process/local-swarm.ts'
import type { WireChoice } from '../../../client/remote/routes/wire-dtype.ts'
import type { ReplayCopies } from '../../../client/session/open.ts'

/** What to verify, and on which servers. */
export interface VerifyOptions extends ServerChoiceOptions {
  readonly folder: string
  readonly numBlocks: number
  readonly golden: Golden
  /** The cuts of each partition that is checked. */
  readonly partitions: readonly (readonly number[])[]
  /** Peers of an existing swarm to use; if empty, servers are started for each partition. */
  readonly bootstrap: readonly string[]
  /** Where servers compute that are started. */
  readonly device: string
  /** The dtype whose rounding explains how far results may be off, of these or those of the swarm. */
  readonly toleranceFor: FloatDType
  /** Why those compute no gradients, if they do not. */
  readonly withoutGradients: string | undefined
  readonly dhtPrefix: string | undefined
  /** The existing swarm's key. */
  readonly swarmKey: Uint8Array | undefined
  readonly stepTimeoutMs: number
  readonly replayCopies: ReplayCopies
  readonly wireDType: WireChoice
  readonly recoveryTimeoutMs: number
  readonly logger: SwarmLogger
  readonly signal: AbortSignal
}

/** Checks all partitions, one after another. Everything started for that is stopped afterwards. */
export async function* verifyModel(options: VerifyOptions): AsyncGenerator<VerifyRow> {
  for (const cuts of options.partitions) {
    options.signal.throwIfAborted()
    if (options.bootstrap.length > 0) yield* verifyAt(options, options.bootstrap, cuts)
    else yield* verifyWithOwnServers(options, cuts)
  }
  yield* uncheckable(options.golden)
}

async function* verifyWithOwnServers(options: VerifyOptions, cuts: readonly number[]): AsyncGenerator<VerifyRow> {
  const { folder, numBlocks, device, dtype, dhtPrefix } = options
  const bounds = [0, ...cuts, numBlocks]
  const spans = bounds.slice(1).map((end, i): [number, number] => [bounds[i]!, end])
  const swarm = await startLocalSwarm({
    model: folder,
    spans,
    bootstrap: false,
    threads: 1,
    signal: options.signal,
    extraArgs: [
      '--device',
      device,
      ...(dtype === undefined ? [] : ['--dtype', dtype]),
      ...(dhtPrefix === undefined ? [] : ['--dht-prefix', dhtPrefix]),
    ],
  })
  try {
    yield* verifyAt(options, [swarm.bootstrap], cuts)
  } finally {
    await swarm.stop()
  }
}

async function* verifyAt(
  { folder, golden, ...options }: VerifyOptions,
  bootstrap: readonly string[],
  cuts: readonly number[],
): AsyncGenerator<VerifyRow> {
  const model = await AutoDistributedModelForCausalLM.fromPretrained(folder, {
    bootstrap,
    dhtPrefix: options.dhtPrefix,
    swarmKey: options.swarmKey,
    logger: options.logger,
    allowedServers: options.allowedServers,
    blockedServers: options.blockedServers,
    exact: options.exact,
    quant: options.quant,
    dtype: options.dtype,
    stepTimeoutMs: options.stepTimeoutMs,
    replayCopies: options.replayCopies,
    wireDType: options.wireDType,
    recoveryTimeoutMs: options.recoveryTimeoutMs,
  })
  model.on('waiting', (waiting) => process.stderr.write(`${describeWaiting(waiting)}\n`))
  const told = new Set<string>()
  model.on('route', (hops) => {
    for (const hop of hops) {
      const line = describeRounding(hop, options.toleranceFor)
      if (line === undefined || told.has(line)) continue
      told.add(line)
      process.stderr.write(`${line}\n`)
    }
  })
  try {
    yield* verifyPartition(model, golden, cuts, {
      withoutGradients: options.withoutGradients,
      dtype: options.toleranceFor,
    })
  } finally {
    await model.close()
  }
}

/** What is said of a server that may be off by more than is allowed for; undefined where none is expected to. */
function describeRounding(hop: RouteHop, toleranceFor: FloatDType): string | undefined {
  const { peerId, name, start, end, dtype, quant, kvDType } = hop
  const who = `server ${name ?? shortPeer(peerId)} computes blocks ${start}:${end}`
  if (isRounded(hop)) {
    const form = quant === 'none' ? `a cache in ${kvDType}` : `weights in ${quant}`
    return `${who} with ${form}: it differs by its rounding; --exact leaves such servers out`
  }
  if (dtype === toleranceFor) return undefined
  return `${who} in ${dtype}, and is compared as if in ${toleranceFor}; --dtype ${dtype} compares such servers by that`
}
