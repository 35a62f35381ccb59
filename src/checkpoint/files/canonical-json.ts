/** JSON with the keys of every object sorted: equal values give equal texts, which can be hashed. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => byCodeUnits(a, b)))
  })
}

/** Orders texts by their UTF-16 code units, which is the same in every locale. */
export function byCodeUnits(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
