import type { ModelStatus, ServerStatus } from '../../swarm/status/model-status.ts'
import type { ModelSnapshot, ServerSnapshot } from './snapshot.ts'

/** What the snapshot of a model is made of. */
export interface ModelView {
  readonly id: string
  readonly status: ModelStatus
  readonly ownPeerId: string
  /** Peer ids of servers that are avoided just now. */
  readonly avoided: ReadonlySet<string>
}

export function modelSnapshot({ id, status, ownPeerId, avoided }: ModelView): ModelSnapshot {
  const { modelKey, numBlocks, holders, missing, servers } = status
  const rates = Array.from({ length: numBlocks }, () => 0)
  for (const { start, end, state, answers, throughput } of servers) {
    if (state !== 'ONLINE' || !answers) continue
    for (let block = start; block < Math.min(end, numBlocks); block += 1) rates[block]! += throughput
  }
  return {
    id,
    modelKey,
    numBlocks,
    holders,
    rates,
    missing,
    servers: servers.map((server) => serverSnapshot(server, server.peerId === ownPeerId, avoided.has(server.peerId))),
  }
}

function serverSnapshot(server: ServerStatus, isOwn: boolean, isAvoided: boolean): ServerSnapshot {
  const { peerId, publicName, start, end, state, answers, movingTo, device, dtype, quant, kvDType = dtype } = server
  const { throughput, queueMs, cacheTokens, cacheTokensLeft, roundTripMs, reachable, version, adapters } = server
  return {
    peerId,
    name: publicName,
    isOwn,
    start,
    end,
    state,
    answers,
    isAvoided,
    movingTo,
    device,
    dtype,
    quant,
    kvDType,
    throughput,
    queueMs,
    cacheTokens,
    cacheTokensLeft,
    roundTripMs,
    reachable,
    version,
    adapters,
  }
}
