/** What an adapter is: software ones compute on the CPU. */
export type AdapterKind = 'discrete' | 'integrated' | 'virtual' | 'software' | 'other'

/** A device that WebGPU can compute on, as the system's graphics drivers name it. Plain data. */
export interface Adapter {
  readonly name: string
  readonly kind: AdapterKind
  readonly driverVersion: string
  /** Of its own memory; what it shares with the CPU where it has none. */
  readonly totalBytes: number
  readonly freeBytes: number
}

/** The order in which the library prefers adapters. */
const PREFERRED: readonly AdapterKind[] = ['discrete', 'integrated', 'virtual', 'other', 'software']

/** Adapters in the order of preference; those of one kind as the drivers give them. */
export function byPreference(adapters: readonly Adapter[]): Adapter[] {
  return adapters.toSorted((a, b) => PREFERRED.indexOf(a.kind) - PREFERRED.indexOf(b.kind))
}

/** Whether it is one that is worth computing on. */
export function isGpu({ kind }: Adapter): boolean {
  return kind !== 'software'
}
