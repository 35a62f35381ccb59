/** Ids of no particular text; those of different seeds have nothing in common. */
export function someIds(seed: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => 5 + ((seed * 977 + i * 131 + ((i * i) % 89) * seed) % 4000))
}
