/** What it costs to cut each node out of a flow, and where the flow goes. */
export interface FlowNetwork {
  /** Infinity for nodes that must not be cut. */
  readonly costs: readonly number[]
  /** Arcs from node to node. */
  readonly arcs: readonly (readonly [from: number, to: number])[]
  readonly sources: readonly number[]
  readonly sinks: readonly number[]
}

interface Arc {
  readonly to: number
  left: number
  readonly back: Arc
}

/**
 * The nodes of least total cost without which nothing flows from sources to sinks; of several such sets, the one
 * nearest to the sinks (Ford and Fulkerson, "Maximal flow through a network"; Dinic's algorithm). Undefined if that
 * costs Infinity.
 */
export function minCut({ costs, arcs, sources, sinks }: FlowNetwork): number[] | undefined {
  // Node n is two vertices: 2n, which is entered, and 2n + 1, which is left.
  const source = 2 * costs.length
  const sink = source + 1
  const out: Arc[][] = Array.from({ length: sink + 1 }, () => [])
  const connect = (from: number, to: number, capacity: number): void => {
    const arc = { to, left: capacity } as { -readonly [K in keyof Arc]: Arc[K] }
    const back = { to: from, left: 0, back: arc }
    arc.back = back
    out[from]!.push(arc)
    out[to]!.push(back)
  }
  costs.forEach((cost, node) => connect(2 * node, 2 * node + 1, cost))
  for (const [from, to] of arcs) connect(2 * from + 1, 2 * to, Infinity)
  for (const node of sources) connect(source, 2 * node, Infinity)
  for (const node of sinks) connect(2 * node + 1, sink, Infinity)

  for (;;) {
    const levels = levelsFrom(out, source)
    if (levels[sink] === -1) break
    const next = out.map(() => 0)
    for (;;) {
      const pushed = push(out, levels, next, source, sink, Infinity)
      if (pushed === Infinity) return undefined
      if (pushed === 0) break
    }
  }
  const reaches = reaching(out, sink)
  return [...costs.keys()].filter((node) => !reaches[2 * node] && reaches[2 * node + 1])
}

/** How many arcs with capacity left lie between the source and each vertex; -1 where there is no way. */
function levelsFrom(out: readonly Arc[][], source: number): number[] {
  const levels = out.map(() => -1)
  levels[source] = 0
  const queue = [source]
  for (const vertex of queue) {
    for (const { to, left } of out[vertex]!) {
      if (left === 0 || levels[to] !== -1) continue
      levels[to] = levels[vertex]! + 1
      queue.push(to)
    }
  }
  return levels
}

/** Sends flow from a vertex to the sink along ways that get nearer to it; returns how much. */
function push(
  out: readonly Arc[][],
  levels: readonly number[],
  next: number[],
  vertex: number,
  sink: number,
  most: number,
): number {
  if (vertex === sink) return most
  const arcs = out[vertex]!
  for (; next[vertex]! < arcs.length; next[vertex]!++) {
    const arc = arcs[next[vertex]!]!
    if (arc.left === 0 || levels[arc.to] !== levels[vertex]! + 1) continue
    const pushed = push(out, levels, next, arc.to, sink, Math.min(most, arc.left))
    if (pushed === 0) continue
    if (pushed !== Infinity) {
      arc.left -= pushed
      arc.back.left += pushed
    }
    return pushed
  }
  return 0
}

/** Whether each vertex has a way to the sink with capacity left. */
function reaching(out: readonly Arc[][], sink: number): boolean[] {
  const reaches = out.map(() => false)
  reaches[sink] = true
  const queue = [sink]
  for (const vertex of queue) {
    for (const { to, back } of out[vertex]!) {
      if (back.left === 0 || reaches[to]) continue
      reaches[to] = true
      queue.push(to)
    }
  }
  return reaches
}
