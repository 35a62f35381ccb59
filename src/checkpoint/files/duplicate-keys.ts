const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN = 0x7b
const CLOSE = 0x7d

/**
 * The first key that occurs twice in one object of a JSON text, at any depth; undefined if there is none. `JSON.parse`
 * would silently keep the last one. The text must be valid JSON: then a string is a key exactly if a colon follows it.
 */
export function findDuplicateKey(json: string): string | undefined {
  const open: Set<string>[] = []
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i)
    if (char === OPEN) open.push(new Set())
    else if (char === CLOSE) open.pop()
    else if (char === QUOTE) {
      const start = i
      i = endOfString(json, start)
      if (!isKey(json, i + 1)) continue
      const key = String(JSON.parse(json.slice(start, i + 1)))
      const keys = open.at(-1)
      if (keys?.has(key)) return key
      keys?.add(key)
    }
  }
  return undefined
}

/** The position of the quote that closes the string opened at `start`. */
function endOfString(json: string, start: number): number {
  let i = start + 1
  while (i < json.length && json.charCodeAt(i) !== QUOTE) i += json.charCodeAt(i) === BACKSLASH ? 2 : 1
  return i
}

function isKey(json: string, position: number): boolean {
  let i = position
  while (i < json.length && json.charCodeAt(i) <= 0x20) i++
  return json.charCodeAt(i) === COLON
}
