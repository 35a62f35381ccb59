import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { isDType } from '../../tensor/dtype.ts'
import { isTcpAddress } from '../address.ts'
import { SwarmError } from '../errors.ts'

export const RECORD_STATES = ['JOINING', 'ONLINE', 'DRAINING', 'OFFLINE'] as const
/** What a server is doing. */
export type RecordState = (typeof RECORD_STATES)[number]

/** What a server says about itself. Times are in milliseconds since 1970. */
export interface ServerRecord {
  peerId: string
  multiaddrs: string[]
  modelKey: string
  /** The span: blocks `start` to `end`, `end` not included. */
  start: number
  end: number
  state: RecordState
  /** Whether the server takes other blocks where the swarm needs them; absent: its user chose its blocks. */
  movable?: boolean
  /**
   * The first block of the span that the server is about to hold: decided while DRAINING, else only intended, so that
   * others can hear of it first.
   */
  movingTo?: number
  dtype: string
  quant: string
  /** The dtype of cached keys and values, if it is not `dtype`. */
  kvDType?: string
  device: string
  /** The tokens that the KV cache still has room for; `cacheTokens` is its whole size. */
  cacheTokensLeft: number
  cacheTokens: number
  /** Tokens per second of one session's decode steps through the whole span, while nobody else computes there. */
  throughput: number
  /** Tokens per second of a prefill, and decode steps per second, through one block, as of late; 0: not known. */
  prefillRate: number
  decodeRate: number
  /** How long what waits for this server will take. */
  queueMs: number
  /** Round trips in milliseconds to servers that may come after this one, by peer id. */
  nextRtts: Record<string, number>
  /** A digest of each block's stored weights; empty while they are not known. */
  blockDigests: string[]
  /** The package's version. */
  version: string
  /** The server's protocol version; absent: 1.0.0. */
  protocol?: string
  publicName?: string
  /** Names of the adapters that sessions and requests may use. */
  adapters: string[]
  /** Whether clients may upload adapters. */
  clientAdapters?: boolean
  /** The forms in which the server gives activations where it is asked for one; absent: its own dtype only. */
  wireDTypes?: string[]
  /** The most tokens of a sequence that a backward pass may have here; absent: none are computed. */
  backwardTokens?: number
  /** Whether other peers could connect to the server's port; absent while nobody has been asked. */
  reachable?: boolean
  /** Increases with each record of this peer, also across restarts. */
  sequence: number
  issuedAt: number
  expiresAt: number
}

const MAX_BLOCKS = 100_000
const MAX_ADDRESSES = 32
const MAX_ADAPTERS = 64
const MAX_TEXT = 256
const MAX_WIRE_DTYPES = 16
const MAX_NEXT_RTTS = 32
const DEVICES = new Set(['cpu', 'cuda', 'webgpu'])
const VERSION = /^\d{1,5}(?:\.\d{1,5}){2}$/
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]*$/u

/** Checks every field. Throws `SWARM_RECORD`, naming the field. */
export function checkFields(record: ServerRecord): void {
  const { start, end, blockDigests, multiaddrs, publicName } = record
  for (const field of ['peerId', 'modelKey', 'dtype', 'quant', 'version'] as const) checkText(field, record[field], 1)
  if (record.kvDType !== undefined) checkText('kvDType', record.kvDType, 1)
  if (publicName !== undefined) checkText('publicName', publicName, 0)
  if (record.protocol !== undefined) require(VERSION.test(record.protocol), 'protocol', record.protocol)
  for (const field of ['cacheTokensLeft', 'cacheTokens', 'sequence', 'issuedAt', 'expiresAt'] as const) {
    require(Number.isSafeInteger(record[field]) && record[field] >= 0, field, record[field])
  }
  require(Number.isInteger(start) && start >= 0, 'start', start)
  require(Number.isInteger(end) && end > start && end <= MAX_BLOCKS, 'end', end)
  const { movingTo = 0 } = record
  require(Number.isInteger(movingTo) && movingTo >= 0 && movingTo + end - start <= MAX_BLOCKS, 'movingTo', movingTo)
  const { backwardTokens = 1 } = record
  require(Number.isSafeInteger(backwardTokens) && backwardTokens > 0, 'backwardTokens', backwardTokens)
  require(RECORD_STATES.includes(record.state), 'state', record.state)
  require(isDType(record.dtype), 'dtype', record.dtype)
  require(DEVICES.has(record.device), 'device', record.device)
  require(record.cacheTokensLeft <= record.cacheTokens, 'cacheTokensLeft', record.cacheTokensLeft)
  for (const field of ['throughput', 'prefillRate', 'decodeRate', 'queueMs'] as const) checkAmount(field, record[field])
  require(Object.keys(record.nextRtts).length <= MAX_NEXT_RTTS, 'number of nextRtts', MAX_NEXT_RTTS)
  for (const [peerId, rttMs] of Object.entries(record.nextRtts)) {
    checkText('nextRtts', peerId, 1)
    checkAmount('nextRtts', rttMs)
  }
  require(blockDigests.length === 0 ||
    blockDigests.length === end - start, 'number of blockDigests', blockDigests.length)
  for (const digest of blockDigests) checkText('blockDigests', digest, 1)
  require(record.adapters.length <= MAX_ADAPTERS, 'number of adapters', record.adapters.length)
  for (const adapter of record.adapters) checkText('adapters', adapter, 1)
  const { wireDTypes = [] } = record
  require(wireDTypes.length <= MAX_WIRE_DTYPES, 'number of wireDTypes', wireDTypes.length)
  for (const name of wireDTypes) checkText('wireDTypes', name, 1)
  require(multiaddrs.length <= MAX_ADDRESSES, 'number of multiaddrs', multiaddrs.length)
  for (const address of multiaddrs) checkAddress(address, record.peerId)
}

function checkAmount(field: string, value: number): void {
  require(Number.isFinite(value) && value >= 0, field, value)
}

function checkText(field: string, text: string, minChars: number): void {
  require(text.length >= minChars && text.length <= MAX_TEXT && PRINTABLE.test(text), field, text)
}

/** Only addresses that this protocol dials: a record must not make its readers open anything else. */
function checkAddress(address: string, peerId: string): void {
  require(address.length <= MAX_TEXT, 'multiaddrs', address)
  let parsed: Multiaddr
  try {
    parsed = multiaddr(address)
  } catch {
    return require(false, 'multiaddrs', address)
  }
  const [, port, peer] = parsed.getComponents()
  require(isTcpAddress(parsed) && port?.value !== '0' && (peer?.value ?? peerId) === peerId, 'multiaddrs', address)
}

function require(holds: boolean, field: string, value: string | number): void {
  if (holds) return
  throw new SwarmError('SWARM_RECORD', `a server record has a bad ${field}: ${JSON.stringify(value).slice(0, 80)}`)
}
