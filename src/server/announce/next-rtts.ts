import type { Connections } from '../../swarm/connections.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import { somePeers } from '../../swarm/node/some-peers.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'

/** How many servers of each kind are measured at a time, as in Petals. */
const MAX_EACH = 5

/**
 * Round trips to servers that may come after this span in a chain, by peer id: those that hold the block after it, and
 * others that could take over within it. Only connected ones are known; the others are connected meanwhile, so that the
 * next call knows them.
 */
export function nextRtts(
  node: Pick<SwarmNode, 'peerId' | 'dial'> & { readonly connections: Pick<Connections, 'rttMs' | 'has'> },
  records: readonly ServerRecord[],
  { start, end }: { readonly start: number; readonly end: number },
): Record<string, number> {
  const others = records.filter(({ peerId, state }) => peerId !== node.peerId && state === 'ONLINE')
  const after = others.filter((other) => other.start <= end && end < other.end)
  const within = others.filter((other) => start < other.start && other.start < end && !after.includes(other))
  const chosen = [...somePeers(node, after, MAX_EACH), ...somePeers(node, within, MAX_EACH)]
  return Object.fromEntries(
    chosen.flatMap(({ peerId }) => {
      const rttMs = node.connections.rttMs(peerId)
      return rttMs === undefined ? [] : [[peerId, rttMs]]
    }),
  )
}
