import { PetalsError, errorMessage, isTransient } from '../../base/errors.ts'
import type { Engine } from '../../engine/engine.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import { loadIdentity } from '../../swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../../swarm/node/node.ts'
import { newTrace } from '../../swarm/node/trace.ts'
import { allFinite } from '../../tensor/finite.ts'
import { fromFloat32 } from '../../tensor/tensor.ts'

const PROBE_TIMEOUT_MS = 60_000

/** A machine that is busy with all that it starts may be too slow for a handshake, which others would try again. */
const DIALS = 3

type ProbedNode = Pick<SwarmNode, 'peerId' | 'listenedAddresses' | 'swarmKey' | 'peerGuard' | 'logger'>
type ProbedEngine = Pick<Engine, 'config' | 'start' | 'end'>

/**
 * Sends one token through the server's own span over the network, from a temporary second peer (libp2p does not dial
 * itself). It dials an address that the node listens on: a router need not send a machine back to itself, and whether
 * others reach the announced addresses only they can tell. Only a server that answers this probe may be ONLINE. Throws
 * what a client would have got.
 */
export async function probeSelf(node: ProbedNode, engine: ProbedEngine, modelKey: string): Promise<void> {
  const { config, start, end } = engine
  const prober = await createSwarmNode({
    identity: await loadIdentity(),
    listen: [],
    swarmKey: node.swarmKey,
    logger: node.logger,
  })
  const forget = node.peerGuard.allow(prober.peerId)
  try {
    await prober.start()
    const stream = await dial(prober, node)
    const hidden = fromFloat32(
      Float32Array.from({ length: config.hiddenSize }, (_, i) => Math.sin(i)),
      [1, 1, config.hiddenSize],
    )
    await stream.send({ kind: 'forward', modelKey, start, end, trace: newTrace(), hidden })
    const answer = await stream.receive({ timeoutMs: PROBE_TIMEOUT_MS })
    if (answer === null || !allFinite(answer.hidden)) {
      throw new PetalsError(
        'PROBE_FAILED',
        `the span ${start}:${end} answered its own probe with no finite hidden states`,
      )
    }
  } finally {
    forget()
    await prober.stop()
  }
}

async function dial(prober: SwarmNode, node: ProbedNode): Promise<RequestStream<'probe'>> {
  for (let dialsLeft = DIALS - 1; ; dialsLeft--) {
    try {
      return await prober.open({ peerId: node.peerId, multiaddrs: node.listenedAddresses }, 'probe')
    } catch (error) {
      if (dialsLeft === 0 || !isTransient(error)) throw error
      node.logger.debug({ reason: errorMessage(error) }, 'the span did not answer its own probe yet')
    }
  }
}
