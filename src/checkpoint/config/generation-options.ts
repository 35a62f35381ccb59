import type { ValueOf } from '../../sampling/options/options.ts'
import { OPTIONS, type Declared } from '../../sampling/options/table.ts'
import type { Fields } from './fields.ts'

type Table = typeof OPTIONS

/**
 * The generation options that generation_config.json can set. An option is absent if the file leaves it out or has
 * null. Plain data.
 */
export type GenerationFileOptions = {
  readonly [K in keyof Table as Table[K] extends { readonly file: string } ? K : never]?: ValueOf<K>
}

/**
 * Reads the options of generation_config.json, renamed as in `OPTIONS`; keys of no option are ignored. A temperature of
 * 0 is read as `doSample: false`. Throws `CHECKPOINT_CONFIG`, naming the key and its value.
 */
export function parseGenerationOptions(fields: Fields): GenerationFileOptions {
  const options: Record<string, unknown> = {}
  for (const [option, declared] of Object.entries<Declared>(OPTIONS)) {
    const { file, fileUnit = 1, kind } = declared
    const given = file === undefined ? undefined : fields.get(file)
    if (given === undefined) continue
    const own = kind.fromJson?.(given) ?? given
    const value = fileUnit !== 1 && typeof own === 'number' ? own * fileUnit : own
    options[option] = kind.accepts(value) ? value : fields.fail(file!, `must be ${kind.accepted}`)
  }
  if (options['temperature'] === 0) {
    delete options['temperature']
    options['doSample'] = false
  }
  return options
}
