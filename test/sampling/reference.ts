import { readFile } from 'node:fs/promises'
import type { GenerationOptions } from '../../src/sampling/options/options.ts'

/** What test/reference/generation.py recorded; null is -Infinity. */
export interface Reference {
  eosTokenIds: number[]
  logits: number[][]
  processed: { options: GenerationOptions; promptLength: number; ids: number[]; rows: (number | null)[][] }[]
  texts: { options: GenerationOptions; promptIds: number[]; tokenIds: number[]; gap: number }[]
}

export async function readReference(): Promise<Reference> {
  return JSON.parse(await readFile(new URL('../fixtures/generation.json', import.meta.url), 'utf8')) as Reference
}
