import type { Kind, NumberKind } from '../../sampling/options/kinds.ts'
import type { ValueOf } from '../../sampling/options/options.ts'
import { OPTIONS, type Declared } from '../../sampling/options/table.ts'
import { type Fields, isNoToken } from './fields.ts'

type Table = typeof OPTIONS

/**
 * The generation options that generation_config.json can set. An option is absent if the file leaves it out, has null,
 * or turns it off. Plain data.
 */
export type GenerationFileOptions = {
  readonly [K in keyof Table as Table[K] extends { readonly file: string } ? K : never]?: ValueOf<K>
}

/** A value that cannot be used. It is an error for whoever needs the option: a server does not. */
export interface GenerationProblem {
  readonly option: keyof Table
  /** The message of the error, `CHECKPOINT_CONFIG`: names the file, the key and the value. */
  readonly message: string
}

/** What generation_config.json sets. */
export interface GenerationFile {
  readonly options: GenerationFileOptions
  readonly problems: readonly GenerationProblem[]
}

/** Options of which a number above their bounds is no restriction either. */
const SHARES: ReadonlySet<string> = new Set(['topP', 'typicalP'])

/**
 * Reads the options of generation_config.json, renamed as in `OPTIONS`; keys of no option are ignored. A temperature of
 * 0 is read as `doSample: false`, and what other libraries write for "off" (-1, lists of -1, 0 where that is no value)
 * as that.
 */
export function parseGenerationOptions(fields: Fields): GenerationFile {
  const options: Record<string, unknown> = {}
  const problems: GenerationProblem[] = []
  for (const [name, declared] of Object.entries<Declared>(OPTIONS)) {
    const { file, fileUnit = 1, kind } = declared
    const given = file === undefined ? undefined : fields.get(file)
    if (given === undefined) continue
    const own = normalised(name, kind, kind.fromJson?.(given) ?? given)
    if (own === undefined) continue
    const value = fileUnit !== 1 && typeof own === 'number' ? own * fileUnit : own
    if (kind.accepts(value)) options[name] = value
    else problems.push({ option: name as keyof Table, message: fields.message(file!, `must be ${kind.accepted}`) })
  }
  if (options['temperature'] === 0) {
    delete options['temperature']
    options['doSample'] = false
  }
  return { options, problems }
}

/** The value as the option's kind has it; undefined for one that turns the option off. */
function normalised(name: string, kind: Kind<unknown>, value: unknown): unknown {
  // A number or a text that is not empty is true to transformers.
  if (name === 'doSample' && (typeof value === 'number' || typeof value === 'string')) return Boolean(value)
  if (name === 'earlyStopping' && (value === 0 || value === 1)) return value === 1
  if (typeof value === 'number') return isOff(name, kind, value) ? OFF[name] : value
  if (!Array.isArray(value)) return value
  const left = value.filter((each: unknown) => !isNothing(name === 'sequenceBias' ? idsOfBias(each) : each))
  return left.length > 0 ? left : undefined
}

/** Where leaving an option out is not the same as turning it off. */
const OFF: Readonly<Record<string, unknown>> = { topK: 0 }

function isOff(name: string, kind: Kind<unknown>, value: number): boolean {
  if (!('bounds' in kind)) return value < 0
  const { min = -Infinity, above = -Infinity, max = Infinity } = (kind as NumberKind).bounds
  return value < min || value <= above || (value > max && SHARES.has(name))
}

/** Whether an entry of a list names no token and no text: -1, '', or a sequence with a -1. */
function isNothing(entry: unknown): boolean {
  return Array.isArray(entry) ? entry.some(isNoToken) : entry === '' || isNoToken(entry)
}

function idsOfBias(pair: unknown): unknown {
  return Array.isArray(pair) ? (pair[0] as unknown) : pair
}
