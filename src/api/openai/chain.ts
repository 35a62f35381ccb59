import type { ChainState } from '../generating/run.ts'
import type { Exchange } from '../http/exchange.ts'

/** The header with which a client asks which servers computed its answer. */
const CHAIN_HEADER = 'x-petals-chain'

/** Whether a client wants to see the chain. */
export function wantsChain(exchange: Exchange): boolean {
  const value = exchange.header(CHAIN_HEADER)
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

/** The servers that computed an answer, in order, and the repairs on the way. */
export function chainOf({ hops, recoveries, waiting }: ChainState): object {
  return {
    chain: hops.map(({ peerId, name, start, end, device, dtype, quant }) => ({
      peer: peerId,
      ...(name !== undefined && { name }),
      blocks: `${start}:${end}`,
      device,
      dtype,
      quant,
    })),
    recoveries: recoveries.map(({ lost, seconds, replayedTokens, reason }) => ({
      lost,
      seconds,
      replayed_tokens: replayedTokens,
      reason,
    })),
    ...(waiting !== undefined && {
      waiting: { reason: waiting.reason, missing_blocks: waiting.missingBlocks, seconds: waiting.seconds },
    }),
  }
}
