import { UsageError } from '../../base/errors.ts'
import { closest } from '../../base/closest.ts'
import { type OptionTable, variableOf } from './option-table.ts'
import type { Given, GivenOptions } from './given.ts'

const PREFIX = 'PETALS_'

/** Environment variables that this program reads and that are no options, and what each does. */
export const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  PETALS_CUDA_LIBS: "Folder with onnxruntime's CUDA provider and the CUDA libraries that it needs",
  PETALS_MDNS_INTERFACE: 'IPv4 address of the network interface that --mdns uses, in place of all of them',
  OTEL_EXPORTER_OTLP_ENDPOINT:
    'URL of an OpenTelemetry collector that spans of requests are sent to (docs/operations.md)',
  PETALS_IGNORE_DEPENDENCY_VERSION: "1 accepts a CUDA provider of another version than the runtime's",
}

/** Variables that Kubernetes sets in every container for a service whose name begins with "petals". */
const OF_KUBERNETES = /^PETALS_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)?)$/

/**
 * What the environment gives for the options of `table`. Variables of other options in `known` belong to other commands
 * and are ignored. An empty variable counts as not set; lists are separated by commas or spaces. Throws `USAGE` for an
 * unknown PETALS_ variable.
 */
export function fromEnvironment(environment: NodeJS.ProcessEnv, table: OptionTable, known: OptionTable): GivenOptions {
  const names = new Map(Object.keys(known).map((name) => [variableOf(name), name]))
  const given = new Map<string, Given>()
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || text === undefined || Object.hasOwn(OTHER_VARIABLES, variable)) continue
    if (OF_KUBERNETES.test(variable) && /^\w+:\/\//.test(text)) continue
    const name = names.get(variable)
    if (name === undefined && !OF_KUBERNETES.test(variable))
      throw unknownVariable(variable, [...names.keys(), ...Object.keys(OTHER_VARIABLES)])
    if (name === undefined || text === '' || !Object.hasOwn(table, name)) continue
    const texts = table[name]!.type === 'list' ? text.split(/[\s,]+/).filter((item) => item !== '') : [text]
    given.set(name, { texts, label: `${variable}=` })
  }
  return given
}

/** The environment without this program's options, for processes that are started with flags instead. */
export function withoutOptions(environment: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(environment).filter(
    ([variable]) => !variable.startsWith(PREFIX) || Object.hasOwn(OTHER_VARIABLES, variable),
  )
  return Object.fromEntries(kept.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function unknownVariable(variable: string, known: readonly string[]): UsageError {
  const near = closest(
    variable.slice(PREFIX.length),
    known.map((other) => other.slice(PREFIX.length)),
  )
  return new UsageError(
    `${variable}: no command has such an option` +
      (near === undefined ? '; unset it' : `: did you mean ${PREFIX}${near}?`),
  )
}
