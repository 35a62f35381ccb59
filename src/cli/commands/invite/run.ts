import { UsageError } from '../../../base/errors.ts'
import { encodeJoinToken, resolveJoining } from '../../../swarm/node/join-token.ts'
import { checkBootstrap } from '../../join/addresses.ts'
import { readSwarmKey } from '../../join/swarm-key.ts'
import type { InviteValues } from './options.ts'

/** Prints a join token. Throws `USAGE` without an address, and as `encodeJoinToken`. */
export async function runInvite({ bootstrap, swarmKey }: InviteValues): Promise<void> {
  if (bootstrap.length === 0)
    throw new UsageError('to which swarm? Give --bootstrap the address of one of its nodes, which it logs at its start')
  checkBootstrap(bootstrap)
  process.stdout.write(`${encodeJoinToken(resolveJoining(bootstrap, await readSwarmKey(swarmKey)))}\n`)
}
