import { errorMessage } from '../../../../base/errors.ts'
import { VERSION } from '../../../../base/version.ts'
import type { PeerTarget } from '../../../../swarm/address.ts'
import { clockText, MAX_CLOCK_OFFSET_MS } from '../../../../swarm/node/clock-votes.ts'
import { announcedPort, type ContactAnswer, askContact } from '../../../../swarm/node/contact.ts'
import type { SwarmNode } from '../../../../swarm/node/node.ts'
import { shortPeer } from '../../../../swarm/short-peer.ts'
import { type Finding, note, ok, problem } from '../finding.ts'

/**
 * Asks each bootstrap peer how it sees this node: compares versions and clocks, and checks whether the peer can connect
 * back.
 */
export async function checkPeers(node: SwarmNode, signal: AbortSignal): Promise<Finding[]> {
  if (node.bootstrapPeers.length === 0)
    return [note('Swarm', 'no --bootstrap given: neither peers nor reachability from outside were tried')]
  const findings = await Promise.all(node.bootstrapPeers.map((peer) => checkPeer(node, peer, signal)))
  return [...findings.flat(), ...clockOf(node)]
}

/** Whose clock is off, if one is: several peers know more than each of them. */
function clockOf({ clocks }: SwarmNode): Finding[] {
  const verdict = clocks.verdict()
  return verdict === undefined ? [] : [problem('Clock', clockText(verdict), 'set the clock by NTP')]
}

async function checkPeer(node: SwarmNode, peer: PeerTarget, signal: AbortSignal): Promise<Finding[]> {
  let answer: ContactAnswer
  try {
    answer = await askContact(node, peer, announcedPort(node), signal)
  } catch (error) {
    return [problem('Peer', errorMessage(error), 'is the address right, the peer running, and no firewall between?')]
  }
  return [versionOf(peer, answer), clock(peer, answer), reachability(node, peer, answer)]
}

function versionOf({ peerId }: PeerTarget, { version, roundTripMs }: ContactAnswer): Finding {
  const found = `${shortPeer(peerId)} answers in ${roundTripMs.toFixed(0)} ms with version ${version}`
  return version === VERSION
    ? ok('Peer', found)
    : note('Peer', `${found}, here is ${VERSION}`, 'versions of one protocol work together')
}

function clock({ peerId }: PeerTarget, { clockAheadMs }: ContactAnswer): Finding {
  const aheadSeconds = Math.abs(clockAheadMs) / 1000
  const found = `${aheadSeconds.toFixed(1)} s ${clockAheadMs > 0 ? 'behind' : 'ahead of'} that of ${shortPeer(peerId)}`
  // What is worse is told once for all peers.
  if (Math.abs(clockAheadMs) > MAX_CLOCK_OFFSET_MS) return note('Clock', found)
  return aheadSeconds > 5 ? note('Clock', found, 'set the clock by NTP, here or there') : ok('Clock', found)
}

function reachability(node: SwarmNode, { peerId }: PeerTarget, { reachable }: ContactAnswer): Finding {
  const port = announcedPort(node)
  if (reachable === undefined) return note('Reachable', 'this node does not listen: it can be a client only')
  const found = `${shortPeer(peerId)} ${reachable ? 'connected' : 'could not connect'} back to port ${port}`
  if (reachable) return ok('Reachable', found)
  return problem(
    'Reachable',
    found,
    `open or forward TCP port ${port} (choose it with --port, name the outer address with --announce)`,
  )
}
