import { closest } from '../../base/closest.ts'
import { UsageError } from '../../base/errors.ts'
import type { PretrainedOptions } from './pretrained-options.ts'

type Kind = 'text' | 'texts' | 'number' | 'flag' | 'bytes' | 'object' | 'adapter' | 'classifier'

/** What each option of `fromPretrained` is: programs in JavaScript have nobody else to tell them. */
const KINDS: Readonly<Record<keyof PretrainedOptions, Kind>> = {
  bootstrap: 'texts',
  lan: 'object',
  node: 'object',
  swarmKey: 'bytes',
  dhtPrefix: 'text',
  activeAdapter: 'adapter',
  prompts: 'object',
  head: 'object',
  classifier: 'classifier',
  allowedServers: 'texts',
  blockedServers: 'texts',
  exact: 'flag',
  quant: 'text',
  dtype: 'text',
  stepTimeoutMs: 'number',
  replayCopies: 'text',
  wireDType: 'text',
  recoveryTimeoutMs: 'number',
  endsDevice: 'text',
  threads: 'number',
  spin: 'flag',
  logger: 'object',
  tracing: 'object',
  download: 'object',
}

const CHECKS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string',
  texts: (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'),
  number: (value) => typeof value === 'number' && !Number.isNaN(value),
  flag: (value) => typeof value === 'boolean',
  bytes: (value) => value instanceof Uint8Array,
  object: (value) => typeof value === 'object' && value !== null,
  adapter: (value) => typeof value === 'string' || (typeof value === 'object' && value !== null),
  classifier: (value) => typeof value === 'number' || (typeof value === 'object' && value !== null),
}

const DESCRIPTIONS: Readonly<Record<Kind, string>> = {
  text: 'a text',
  texts: 'a list of texts, also where it is only one',
  number: 'a number',
  flag: 'true or false',
  bytes: 'a Uint8Array',
  object: 'an object',
  adapter: 'the name of an adapter, what loadAdapter gave, or AdapterVersions',
  classifier: 'a number of labels, or what loadClassifier gave',
}

/** Throws `USAGE` for options that do not exist, and for values of another type than the option's. */
export function checkPretrainedOptions(options: object): void {
  for (const [name, value] of Object.entries(options)) {
    if (!isOption(name)) {
      const similar = closest(name, Object.keys(KINDS))
      const cure = similar === undefined ? `there are ${Object.keys(KINDS).join(', ')}` : `did you mean ${similar}?`
      throw new UsageError(`fromPretrained has no option ${JSON.stringify(name)}: ${cure}`)
    }
    const kind = KINDS[name]
    if (value === undefined || CHECKS[kind](value)) continue
    throw new UsageError(`${name} must be ${DESCRIPTIONS[kind]}; it is ${describeValue(value)}`)
  }
}

function isOption(name: string): name is keyof PretrainedOptions {
  return Object.hasOwn(KINDS, name)
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  if (Array.isArray(value)) return 'a list'
  return value === null ? 'null' : typeof value === 'number' ? String(value) : `a value of type ${typeof value}`
}
