import type { Kind } from './kinds.ts'
import type { OPTIONS } from './table.ts'

type Table = typeof OPTIONS

/** The values of an option's kind. */
export type ValueOf<K extends keyof Table> = Table[K]['kind'] extends Kind<infer T> ? T : never

type Options = { readonly [K in keyof Table]?: ValueOf<K> | undefined }

/** Options that are absent have the defaults of the model's generation_config.json, then transformers' own. */
export interface GenerationOptions extends Options {}

/** Options of one text, with the checkpoint's defaults in them: what is absent now is not used. */
export interface ResolvedOptions extends GenerationOptions {
  readonly maxNewTokens: number
}

/** Whether tokens are drawn; otherwise the likeliest is taken. */
export function isSampling({ doSample, temperature }: GenerationOptions): boolean {
  return temperature !== 0 && (doSample ?? temperature !== undefined)
}
