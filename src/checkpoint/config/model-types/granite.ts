import { llama } from './llama.ts'
import type { ModelTypeRow } from './row.ts'

export const granite: ModelTypeRow = llama
