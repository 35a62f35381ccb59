import { shortPeer } from '../../../swarm/short-peer.ts'
import { spanText } from '../../../base/span.ts'
import type { ModelStatus, ServerStatus } from '../../../swarm/status/model-status.ts'

/**
 * One line for each server that has come, changed or gone. Figures that always vary, such as the free cache, do not
 * count as changes.
 */
export function changesBetween(before: readonly ModelStatus[], after: readonly ModelStatus[]): string[] {
  const old = linesOf(before)
  const now = linesOf(after)
  const gone = [...old].filter(([peer]) => !now.has(peer)).map(([, { name }]) => `${name} gone`)
  const changed = [...now].filter(([peer, { line }]) => old.get(peer)?.line !== line).map(([, { line }]) => line)
  return [...gone, ...changed]
}

function linesOf(models: readonly ModelStatus[]): Map<string, { name: string; line: string }> {
  return new Map(
    models.flatMap(({ modelKey, servers }) =>
      servers.map((server) => {
        const name = `${modelKey} ${server.publicName ?? shortPeer(server.peerId)}`
        return [`${modelKey} ${server.peerId}`, { name, line: `${name} ${describe(server)}` }] as const
      }),
    ),
  )
}

function describe({ answers, state, start, end, device, dtype, version }: ServerStatus): string {
  return `${answers ? state : 'NO ANSWER'} ${spanText([start, end])} ${device} ${dtype} v${version}`
}
