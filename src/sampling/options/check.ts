import { inspect } from 'node:util'
import { UsageError } from '../../base/errors.ts'
import type { GenerationOptions } from './options.ts'
import { OPTIONS } from './table.ts'

/**
 * Checks the values of all given options. Throws `USAGE`, naming the option, its value and what is accepted. An
 * undefined option means its default.
 */
export function checkOptions(options: GenerationOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!isOption(name)) {
      throw new UsageError(`${name} is no option of generation; there are ${Object.keys(OPTIONS).join(', ')}`)
    }
    const { kind } = OPTIONS[name]
    if (value !== undefined && !kind.accepts(value))
      throw new UsageError(`${name} is ${shown(value)}: give ${kind.accepted}`)
  }
  if (options.doSample === true && options.temperature === 0) {
    throw new UsageError('doSample is true and temperature 0, which is greedy: give one of them')
  }
  if (options.constraint !== undefined && (options.logitsProcessors ?? []).length > 0) {
    throw new UsageError('a constraint is enforced where no own logitsProcessors run: give one of them')
  }
}

function isOption(name: string): name is keyof typeof OPTIONS {
  return Object.hasOwn(OPTIONS, name)
}

function shown(value: unknown): string {
  return inspect(value, { depth: 1, maxArrayLength: 8, maxStringLength: 80, breakLength: Infinity })
}
