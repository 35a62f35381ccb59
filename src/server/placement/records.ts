import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { type Placement, medianThroughput } from './placement.ts'

/** What records say of where servers stand. */
export type PlacedRecord = Pick<
  ServerRecord,
  'peerId' | 'state' | 'start' | 'end' | 'throughput' | 'movable' | 'movingTo'
>

/**
 * How many times the median a server's throughput counts at most: one that claims to be much faster than all others
 * might make them leave the blocks that it holds.
 */
const MAX_CLAIM = 10

/**
 * Where servers stand, or will stand once they have moved, by their records. Servers that leave do not count, and one
 * whose throughput is not known yet counts as the median of the others, of which nobody counts for more than
 * `MAX_CLAIM` times as much. Server `self` stands where it stands now. With `afterIntent`, others that are only about
 * to move count where they stand, or not at all if they are about to join, unless their peer id is the smaller one: of
 * two that hear of each other, one goes on as if the other were not there.
 */
export function intendedPlacements(
  records: readonly PlacedRecord[],
  self: string,
  afterIntent: boolean,
): readonly Placement[] {
  const unknown = medianThroughput(records.filter(({ throughput }) => throughput > 0))
  return records.flatMap(({ peerId, state, start, end, throughput, movable = false, movingTo }) => {
    const intends = movingTo !== undefined && (state === 'ONLINE' || state === 'JOINING')
    const overlooked = peerId === self || (intends && afterIntent && peerId > self)
    const leaves = state === 'OFFLINE' || (state === 'DRAINING' && movingTo === undefined)
    if (leaves || (overlooked && intends && state === 'JOINING')) return []
    const claimed = throughput > 0 ? Math.min(throughput, MAX_CLAIM * unknown) : unknown
    const placedAt = overlooked ? start : (movingTo ?? start)
    return [{ peerId, start: placedAt, length: end - start, throughput: claimed, movable }]
  })
}
