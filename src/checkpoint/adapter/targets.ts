import { type JsonObject } from '../files/json.ts'
import { unsupported } from './unsupported.ts'

/** True for a module, by its name in the whole model, that an adapter's config says to change. */
export type Targets = (module: string) => boolean

/**
 * Which modules PEFT would change by a config's `target_modules`, `exclude_modules`, `layers_to_transform` and
 * `layers_pattern`; all of them where it names none. Throws `ADAPTER_UNSUPPORTED` for expressions that JavaScript does
 * not know.
 */
export function targetsOf(config: JsonObject, file: string): Targets {
  const named = matcher(config, 'target_modules', file)
  const excluded = matcher(config, 'exclude_modules', file)
  const inLayers = layersOf(config, file)
  return (module) => {
    if (excluded !== undefined && excluded(module) !== 'no') return false
    const how = named?.(module) ?? 'whole'
    // As in PEFT, layers only matter to modules that are found by the end of their names.
    return how === 'whole' || (how === 'end' && inLayers(module))
  }
}

/** How a field's value matches a module: wholly, by the end of its name, or not. Undefined for an absent field. */
function matcher(
  config: JsonObject,
  field: string,
  file: string,
): ((module: string) => 'whole' | 'end' | 'no') | undefined {
  const value = config[field] ?? undefined
  if (value === undefined || (Array.isArray(value) && value.length === 0) || value === 'all-linear') return undefined
  if (typeof value === 'string') {
    const pattern = expression(value, '^%$', field, file)
    return (module) => (pattern.test(module) ? 'whole' : 'no')
  }
  const names = textsOf(value, field, file)
  return (module) => {
    if (names.includes(module)) return 'whole'
    return names.some((name) => module.endsWith(`.${name}`)) ? 'end' : 'no'
  }
}

/** True for modules of the layers that `layers_to_transform` lists; the first number in a name is its layer. */
function layersOf(config: JsonObject, file: string): Targets {
  const given = config['layers_to_transform'] ?? []
  const layers = Array.isArray(given) ? given : [given]
  if (layers.length === 0) return () => true
  if (!layers.every(Number.isInteger))
    throw unsupported(file, `layers_to_transform ${JSON.stringify(given)}`, 'it must be integers')
  const pattern = config['layers_pattern'] ?? []
  const patterns = textsOf(typeof pattern === 'string' ? [pattern].filter(Boolean) : pattern, 'layers_pattern', file)
  const expressions =
    patterns.length === 0
      ? [/^.*?\.[^.]*\.(\d+)\./]
      : patterns.map((each) => expression(each, '^(?:|.*?\\.)%\\.(?<index>\\d+)\\.', 'layers_pattern', file))
  return (module) => {
    const match = expressions.map((each) => each.exec(module)).find((found) => found !== null)
    const index = match?.groups?.['index'] ?? match?.[1]
    return index !== undefined && layers.includes(Number(index))
  }
}

function textsOf(value: unknown, field: string, file: string): string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value
  throw unsupported(file, `${field} ${JSON.stringify(value)}`, 'it must be a text or a list of texts')
}

/** An expression of Python in its place `%` within a pattern. Throws `ADAPTER_UNSUPPORTED` for others. */
export function expression(source: string, within: string, field: string, file: string): RegExp {
  try {
    return new RegExp(
      within.replace('%', () => `(?:${source})`),
      'u',
    )
  } catch {
    throw unsupported(file, `${field} ${JSON.stringify(source)}`, 'it is no regular expression that is known here')
  }
}
