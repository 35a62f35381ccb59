import type { KvDType } from '../../graph/lowering.ts'

/** Reads `--kv-dtype`; undefined for `auto`, which means the dtype of the computation. */
export function parseKvDType(value: string): KvDType | undefined {
  return value === 'auto' ? undefined : (value as KvDType)
}
