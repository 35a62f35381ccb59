/**
 * How much speaks for the peer that a record describes, the most last. Identities cost nothing and records only a
 * signature, so what has been verified decides who is forgotten first when there are too many.
 */
export const STANDING = {
  /** Some peer has passed the record on. */
  heard: 0,
  /** A bootstrap peer, which the user chose, has passed it on. */
  vouched: 1,
  /** The peer itself has connected to this node, which proves its key. */
  met: 2,
  /** This node has dialled the peer and found it there. */
  reached: 3,
  /** This node's own record, or one that its user gave. */
  own: 4,
} as const

/** One of `STANDING`. */
export type Standing = (typeof STANDING)[keyof typeof STANDING]

/** Where a record comes from. */
export interface RecordSource {
  readonly standing: Standing
  /** The host that answers for it: of the peer itself if it was met, else of the peer that passed the record on. */
  readonly host: string
  /** The peer that sent it. */
  readonly from: string
}

/** The source of this node's own record, and of records that a program adds by itself. */
export const OWN_SOURCE: RecordSource = { standing: STANDING.own, host: '', from: '' }

/** What is compared to see who goes first. */
export interface Claim {
  readonly standing: Standing
  readonly host: string
  /** Claims are numbered as they come. */
  readonly arrival: number
}

/**
 * Which of `claims` goes first to make room for a newcomer: one of the lowest standing, of the host that has the most
 * such claims, and of these the latest. Undefined if that would be the newcomer itself: a host cannot push out those of
 * another one, or earlier ones of its own, with ever more claims of the same standing.
 */
export function weakest<C extends Claim>(
  claims: Iterable<C>,
  newcomer: Pick<Claim, 'standing' | 'host'>,
): C | undefined {
  const all = [...claims]
  const standing = all.reduce<number>((lowest, claim) => Math.min(lowest, claim.standing), newcomer.standing)
  const rivals = all.filter((claim) => claim.standing === standing)
  const byHost = Map.groupBy(rivals, ({ host }) => host)
  const [largest] = [...byHost.values()].toSorted((a, b) => b.length - a.length)
  if (largest === undefined) return undefined
  const isRival = standing === newcomer.standing
  const ofNewcomer = (byHost.get(newcomer.host)?.length ?? 0) + 1
  if (isRival && largest.length <= ofNewcomer) return undefined
  return largest.reduce((latest, claim) => (claim.arrival > latest.arrival ? claim : latest))
}
