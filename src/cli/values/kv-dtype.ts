import type { KvDType } from '../../graph/lowering.ts'

/** `--kv-dtype`: nothing for `auto`, which is the dtype of the computation. */
export function parseKvDType(value: string): KvDType | undefined {
  return value === 'auto' ? undefined : (value as KvDType)
}
