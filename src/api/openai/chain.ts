import { spanText } from '../../base/span.ts'
import type { Recovery } from '../../client/session/inference-session.ts'
import type { RouteHop } from '../../client/session/route-hop.ts'
import type { RunSummary } from '../generating/run.ts'
import type { WatchSession } from '../generating/texts.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Tell } from './stream-events.ts'

/** The header with which a client asks which servers computed its answer. */
const CHAIN_HEADER = 'x-petals-chain'

/** Whether a client wants to see the chain. */
export function wantsChain(exchange: Exchange): boolean {
  const value = exchange.header(CHAIN_HEADER)
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

/** The servers that computed an answer, in order, and the repairs on the way. */
export function chainOf({ hops, recoveries }: RunSummary): object {
  return { chain: hops.map(hopOf), recoveries: recoveries.map(recoveryOf) }
}

/**
 * Tells what happens to a session's chain as it happens: `petals.chain` when the chain is complete, at first and after
 * each repair, `petals.recovery` for a repair, `petals.waiting` while it waits for servers.
 */
export function tellingChain(tell: Tell): WatchSession {
  return (session) => {
    session.on('route', (hops) => tell('petals.chain', { chain: hops.map(hopOf) }))
    session.on('recovery', (recovery) => tell('petals.recovery', recoveryOf(recovery)))
    session.on('waiting', ({ reason, missingBlocks, seconds }) =>
      tell('petals.waiting', { reason, missing_blocks: missingBlocks, seconds }),
    )
  }
}

function hopOf({ peerId, name, start, end, device, dtype, quant }: RouteHop): object {
  return { peer: peerId, ...(name !== undefined && { name }), blocks: spanText([start, end]), device, dtype, quant }
}

function recoveryOf({ lost, seconds, replayedTokens, reason }: Recovery): object {
  return { lost, seconds, replayed_tokens: replayedTokens, reason }
}
