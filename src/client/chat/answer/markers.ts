/** Where a marker begins in a text and how long it is. */
export interface Found {
  readonly marker: string
  readonly start: number
}

/** The first of some markers in a text. */
export function firstOf(text: string, markers: readonly string[]): Found | undefined {
  const found = markers
    .map((marker) => ({ marker, start: text.indexOf(marker) }))
    .filter(({ start }) => start >= 0)
    .toSorted((a, b) => a.start - b.start)
  return found[0]
}

/** How much of a text can be no part of a marker, nor of the blanks before one: all but its end. */
export function settledLength(text: string, markers: readonly string[]): number {
  if (markers.length === 0) return text.length
  let length = text.length
  const longest = Math.max(...markers.map((marker) => marker.length))
  for (let start = Math.max(0, text.length - longest + 1); start < text.length; start++) {
    if (markers.some((marker) => marker.startsWith(text.slice(start)))) {
      length = start
      break
    }
  }
  return text.slice(0, length).trimEnd().length
}

/** Whether a text begins with a marker, could become one that does (undefined), or does not. */
export function beginsWith(text: string, marker: string): boolean | undefined {
  if (text.startsWith(marker)) return true
  return marker.startsWith(text) ? undefined : false
}
