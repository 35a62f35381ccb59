import { type ClockVerdict, clockText } from '../../../swarm/node/clock-votes.ts'
import { red } from '../../terminal/red.ts'
import { alignColumns } from '../../terminal/columns.ts'
import { shortPeer } from '../../../swarm/short-peer.ts'
import { spanText } from '../../../base/span.ts'
import type { ModelStatus, ServerStatus } from '../../../swarm/status/model-status.ts'

const BLOCKS_PER_LINE = 64
const HEADINGS = [
  'PEER',
  'STATE',
  'BLOCKS',
  'COMPUTES IN',
  'TOKENS/S',
  'QUEUE',
  'CACHE FREE',
  'RTT',
  'REACHED',
  'VERSION',
  'EXPIRES IN',
  'NAME',
]

/** The status of models as tables, and whose clock is off. Holes are red on a terminal. */
export function renderStatus(models: readonly ModelStatus[], nowMs: number, clock?: ClockVerdict): string {
  const warning = clock === undefined ? '' : red(`warning: ${clockText(clock)}`) + '\n'
  if (models.length === 0)
    return `${warning}Nobody serves anything in this swarm: "petals-node serve --bootstrap ADDR" does.\n`
  return warning + models.map((model) => renderModel(model, nowMs)).join('\n')
}

function renderModel(model: ModelStatus, nowMs: number): string {
  const { modelKey, numBlocks, missing, servers } = model
  const rows = servers.map((record) => serverRow(record, nowMs))
  const [headings = '', ...lines] = alignColumns([HEADINGS, ...rows])
  const table =
    rows.length === 0
      ? ['nobody serves this model']
      : [headings, ...lines.map((line, i) => (servers[i]!.answers ? line : red(line)))]
  const total = numBlocks === 0 ? '' : `, ${numBlocks} blocks`
  const holes = missing.length === 0 ? [] : [red(`missing: ${missing.join(', ')} (no server is ONLINE with them)`)]
  return [`${modelKey}${total}, ${count(servers.length)}`, ...table, ...coverage(model), ...adapters(servers), ...holes]
    .map((line) => `${line}\n`)
    .join('')
}

function serverRow(record: ServerStatus, nowMs: number): string[] {
  const {
    peerId,
    state,
    start,
    end,
    device,
    dtype,
    quant,
    kvDType,
    throughput,
    queueMs,
    cacheTokensLeft,
    cacheTokens,
    version,
    answers,
  } = record
  const arithmetic = [
    device,
    dtype,
    ...(quant === 'none' ? [] : [quant]),
    ...(kvDType === undefined ? [] : [`${kvDType} cache`]),
  ].join(' ')
  return [
    shortPeer(peerId),
    answers ? state : 'NO ANSWER',
    spanText([start, end]),
    arithmetic,
    throughput === 0 ? '-' : throughput.toFixed(1),
    queueMs === 0 ? '-' : `${(queueMs / 1000).toFixed(1)} s`,
    `${cacheTokensLeft}/${cacheTokens}`,
    record.roundTripMs === undefined ? '-' : `${record.roundTripMs} ms`,
    record.reachable === undefined ? '-' : record.reachable ? 'yes' : 'no',
    version,
    `${Math.round((record.expiresAt - nowMs) / 1000)} s`,
    record.publicName ?? '',
  ]
}

/** Lines that tell which adapters requests may use, and on how many servers. */
function adapters(servers: readonly ServerStatus[]): string[] {
  const held = Map.groupBy(
    servers.flatMap((server) => server.adapters),
    (name) => name,
  )
  const lines = [...held].map(([name, holders]) => `adapter ${name}  on ${count(holders.length)}`)
  const open = servers.filter(({ clientAdapters }) => clientAdapters === true).length
  return open === 0 ? lines : [...lines, `adapters of clients  taken by ${count(open)}`]
}

function count(servers: number): string {
  return `${servers} ${servers === 1 ? 'server' : 'servers'}`
}

/** A line with a digit for each block: how many ONLINE servers hold it. */
function coverage({ holders }: ModelStatus): string[] {
  const marks = holders.map((count) => (count === 0 ? '·' : count > 9 ? '+' : String(count))).join('')
  const lines: string[] = []
  for (let start = 0; start < marks.length; start += BLOCKS_PER_LINE) {
    const line = marks.slice(start, start + BLOCKS_PER_LINE)
    const marked = line.replaceAll(/·+/g, (holes) => red(holes))
    lines.push(`holders of blocks ${spanText([start, start + line.length])}  ${marked}`)
  }
  return lines
}
