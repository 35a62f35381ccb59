import type { Kind } from './kinds.ts'
import type { OPTIONS } from './table.ts'

type Table = typeof OPTIONS

/** The values of an option's kind. */
export type ValueOf<K extends keyof Table> = Table[K]['kind'] extends Kind<infer T> ? T : never

type Options = { readonly [K in keyof Table]?: ValueOf<K> | undefined }

/**
 * What a caller may ask of a generation. An option that is absent takes its default from the model's
 * generation_config.json, or else transformers' own default.
 */
export interface GenerationOptions extends Options {}

/**
 * The options of one text after the checkpoint's defaults have been filled in: an option that is still absent has no
 * effect.
 */
export interface ResolvedOptions extends GenerationOptions {
  readonly maxNewTokens: number
}

/** Whether tokens are drawn at random (true) or the likeliest one is taken (false). */
export function isSampling({ doSample, temperature }: GenerationOptions): boolean {
  return temperature !== 0 && (doSample ?? temperature !== undefined)
}
