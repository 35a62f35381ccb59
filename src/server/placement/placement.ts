/** Where one server stands: `length` blocks from `start` on, and how fast it is. */
export interface Placement {
  readonly peerId: string
  readonly start: number
  readonly length: number
  /** Tokens per second through the whole span, wherever it begins; above 0. */
  readonly throughput: number
  /** Whether the server takes another span where the swarm needs it. One whose user chose its blocks does not. */
  readonly movable: boolean
}

/** The (lower) median of the throughputs, which is what one that is not known is taken for; 1 if none is known. */
export function medianThroughput(servers: readonly Pick<Placement, 'throughput'>[]): number {
  const sorted = servers.map(({ throughput }) => throughput).sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 1
}
