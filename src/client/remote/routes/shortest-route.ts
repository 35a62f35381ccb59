/** One server, as a route sees it. All times are in seconds. */
export interface RouteNode {
  /** The blocks that it holds, `end` not included. */
  readonly start: number
  readonly end: number
  /** What each block takes. */
  readonly blockSeconds: number
  /** What some blocks take besides. */
  readonly extraSeconds?: ReadonlyMap<number, number> | undefined
  /** What using the server takes, once each time that a route comes to it. */
  readonly visitSeconds: number
  /** The way from the client, or back to it. */
  readonly clientSeconds: number
  /** The ways to other servers, by their index, as far as they are known. */
  readonly hopSeconds: ReadonlyMap<number, number>
  /** Half of a way to or from a server that is not among them. */
  readonly halfHopSeconds: number
}

/** Part of a route: blocks `start` to `end` on the server of this index. */
export interface RoutePart {
  readonly index: number
  readonly start: number
  readonly end: number
}

/**
 * The quickest way through blocks `start` to `end`: a shortest path over (block, server). Returns the first block that
 * cannot be reached if there is none. Takes time in proportion to the blocks held by all servers and the known ways.
 */
export function shortestRoute(start: number, end: number, nodes: readonly RouteNode[]): RoutePart[] | number {
  const steps: Step[] = []
  let reached = Float64Array.from(nodes, () => Infinity)
  for (let block = start; block < end; block++) {
    const step = arrive(nodes, block, block === start ? undefined : reached)
    if (step === undefined) return block
    steps.push(step)
    reached = step.seconds
  }
  let index = -1
  for (const [i, seconds] of reached.entries()) {
    const whole = seconds + nodes[i]!.clientSeconds
    if (whole < (index < 0 ? Infinity : reached[index]! + nodes[index]!.clientSeconds)) index = i
  }
  return partsOf(steps, start, index)
}

/** All servers at one block: the time until each has computed it, and which one computed the block before. */
interface Step {
  readonly seconds: Float64Array<ArrayBuffer>
  readonly from: Int32Array
}

const CLIENT = -1

/** `before` are the times at the block before, undefined at the first one. Undefined if no server gets there. */
function arrive(
  nodes: readonly RouteNode[],
  block: number,
  before: Float64Array<ArrayBuffer> | undefined,
): Step | undefined {
  const seconds = new Float64Array(nodes.length).fill(Infinity)
  const from = new Int32Array(nodes.length).fill(CLIENT)
  const nearest = before && nearestTo(nodes, before)
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!
    if (block < node.start || block >= node.end) continue
    let arrival = node.visitSeconds + node.clientSeconds
    if (before !== undefined) {
      const last = changeTo(i, nodes, before, nearest!)
      arrival = last < 0 ? Infinity : before[last]! + hop(nodes, last, i) + node.visitSeconds
      from[i] = last
      if (block > node.start && before[i]! <= arrival) {
        arrival = before[i]!
        from[i] = i
      }
    }
    seconds[i] = arrival + node.blockSeconds + (node.extraSeconds?.get(block) ?? 0)
  }
  if (nearest !== undefined) relaxKnownHops(nodes, block, before!, { seconds, from })
  return seconds.some((time) => time < Infinity) ? { seconds, from } : undefined
}

/** Tries the known ways, which may be shorter than what unknown ones are taken for. */
function relaxKnownHops(
  nodes: readonly RouteNode[],
  block: number,
  before: Float64Array<ArrayBuffer>,
  { seconds, from }: Step,
): void {
  for (let last = 0; last < nodes.length; last++) {
    if (before[last] === Infinity) continue
    for (const [i, way] of nodes[last]!.hopSeconds) {
      const node = nodes[i]
      if (node === undefined || i === last || block < node.start || block >= node.end) continue
      const arrival = before[last]! + way + node.visitSeconds + node.blockSeconds + (node.extraSeconds?.get(block) ?? 0)
      if (arrival >= seconds[i]!) continue
      seconds[i] = arrival
      from[i] = last
    }
  }
}

/** The server from which a way that is not known would be the shortest; -1 if none has computed the block before. */
function nearestTo(nodes: readonly RouteNode[], before: Float64Array<ArrayBuffer>, target = -1): number {
  let nearest = -1
  let least = Infinity
  for (let i = 0; i < nodes.length; i++) {
    const seconds = before[i]! + nodes[i]!.halfHopSeconds
    if (seconds >= least || i === target || (target >= 0 && nodes[i]!.hopSeconds.has(target))) continue
    nearest = i
    least = seconds
  }
  return nearest
}

/** The best server to come from over a way that is not known. The nearest one serves for nearly all. */
function changeTo(
  target: number,
  nodes: readonly RouteNode[],
  before: Float64Array<ArrayBuffer>,
  nearest: number,
): number {
  if (nearest < 0 || (nearest !== target && !nodes[nearest]!.hopSeconds.has(target))) return nearest
  return nearestTo(nodes, before, target)
}

function hop(nodes: readonly RouteNode[], from: number, to: number): number {
  return nodes[from]!.halfHopSeconds + nodes[to]!.halfHopSeconds
}

function partsOf(steps: readonly Step[], start: number, last: number): RoutePart[] {
  const parts: RoutePart[] = []
  let index = last
  let end = start + steps.length
  for (let i = steps.length - 1; i >= 0; i--) {
    const from = steps[i]!.from[index]!
    if (i > 0 && from === index) continue
    parts.unshift({ index, start: start + i, end })
    end = start + i
    index = from
  }
  return parts
}
