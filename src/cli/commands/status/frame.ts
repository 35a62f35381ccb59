import { type ClockVerdict, clockText } from '../../../swarm/node/clock-votes.ts'
import { red } from '../../terminal/red.ts'
import { shortPeer } from '../../../swarm/short-peer.ts'
import { spanText } from '../../../base/span.ts'
import type { ModelStatus, ServerStatus } from '../../../swarm/status/model-status.ts'

/** The terminal's size, and the current time. */
export interface FrameSize {
  readonly columns: number
  readonly rows: number
  readonly now: Date
}

const MARKS = { ONLINE: '█', JOINING: '▒', DRAINING: '▒', OFFLINE: '░', silent: '░', none: '·' } as const

/** Widths of the table's columns besides the map of blocks. */
const SERVER_WIDTHS = [11, 9, 7] as const
const FIGURE_WIDTHS = [8, 5, 5, 6, 5, 7] as const
const MIN_MAP = 8

/** The lines of a screen: for each model a map of the blocks that each server holds, and holes in red. */
export function renderFrame(
  models: readonly ModelStatus[],
  { columns, rows, now }: FrameSize,
  clock?: ClockVerdict,
): string[] {
  const numServers = models.reduce((sum, { servers }) => sum + servers.length, 0)
  const title =
    `${now.toLocaleTimeString('en-GB')}  ${plural(models.length, 'model')}, ` +
    `${plural(numServers, 'server')}  (q leaves)`
  const warning = clock === undefined ? [] : [red(clip(`warning: ${clockText(clock)}`, columns))]
  const lines = [
    clip(title, columns),
    ...warning,
    '',
    ...models.flatMap((model) => [...modelLines(model, columns), '']),
  ]
  if (models.length === 0) lines.push('nobody serves anything here yet')
  if (lines.length <= rows) return lines
  return [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} lines more: make the window higher`]
}

function modelLines(model: ModelStatus, columns: number): string[] {
  const { modelKey, numBlocks, missing, servers, holders } = model
  const others = [...SERVER_WIDTHS, ...FIGURE_WIDTHS].reduce((sum, width) => sum + width + 1, 0)
  const width = Math.max(MIN_MAP, Math.min(numBlocks, columns - others))
  const line = (cells: readonly string[], map: string, figures: readonly string[]) =>
    clip(
      [
        ...cells.map((cell, i) => cell.padEnd(SERVER_WIDTHS[i]!)),
        map.padEnd(width),
        ...figures.map((figure, i) => figure.padStart(FIGURE_WIDTHS[i]!)),
      ]
        .join(' ')
        .trimEnd(),
      columns,
    )
  const held = missing.length === 0 ? 'all held' : `missing ${missing.join(', ')}`
  const head = clip(`${modelKey}: ${plural(numBlocks, 'block')}, ${held}`, columns)
  return [
    missing.length === 0 ? head : red(head),
    line(['SERVER', 'STATE', 'BLOCKS'], 'MAP', ['TOKENS/S', 'QUEUE', 'CACHE', 'RTT', 'REACH', 'VERSION']),
    ...servers.map((server) =>
      line(
        [
          server.publicName?.slice(0, SERVER_WIDTHS[0]) ?? shortPeer(server.peerId),
          server.answers ? server.state : 'NO ANSWER',
          spanText([server.start, server.end]),
        ],
        serverMap(server, numBlocks, width),
        figuresOf(server),
      ),
    ),
    markHoles(line(['', 'holders', `0:${numBlocks}`], holdersMap(holders, width), [])),
  ]
}

function figuresOf(server: ServerStatus): string[] {
  const { throughput, queueMs, cacheTokens, cacheTokensLeft, roundTripMs, reachable, version } = server
  const used = cacheTokens === 0 ? '-' : `${Math.round(100 * (1 - cacheTokensLeft / cacheTokens))}%`
  const rtt = roundTripMs === undefined ? '-' : `${roundTripMs.toFixed(0)} ms`
  const reached = reachable === undefined ? '-' : reachable ? 'yes' : 'no'
  const queue = queueMs === 0 ? '-' : `${(queueMs / 1000).toFixed(1)}s`
  return [throughput === 0 ? '-' : throughput.toFixed(0), queue, used, rtt, reached, version]
}

function serverMap({ start, end, state, answers }: ServerStatus, numBlocks: number, width: number): string {
  const mark = answers ? MARKS[state] : MARKS.silent
  return cells(numBlocks, width)
    .map(([first, last]) => (start < last && first < end ? mark : MARKS.none))
    .join('')
}

/** A map of the number of servers that hold each block; a cell of several blocks shows the smallest number. */
function holdersMap(holders: readonly number[], width: number): string {
  return cells(holders.length, width)
    .map(([first, last]) => {
      const count = Math.min(...holders.slice(first, last))
      return count === 0 ? MARKS.none : count > 9 ? '+' : String(count)
    })
    .join('')
}

/** Divides the blocks among at most `width` characters, several to a character if necessary. */
function cells(numBlocks: number, width: number): [first: number, last: number][] {
  const count = Math.min(numBlocks, width)
  return Array.from({ length: count }, (_, i) => [
    Math.floor((i * numBlocks) / count),
    Math.ceil(((i + 1) * numBlocks) / count),
  ])
}

/** A map with its holes in red. */
function markHoles(map: string): string {
  return map.replaceAll(new RegExp(`${MARKS.none}+`, 'g'), (holes) => red(holes))
}

/** The first `columns` characters. */
function clip(line: string, columns: number): string {
  return [...line].slice(0, columns).join('')
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
