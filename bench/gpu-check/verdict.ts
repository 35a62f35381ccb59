/**
 * What a probe has found besides that results are right: something that is slower than what it is to beat, or a
 * fallback that was taken. What is wrong is thrown.
 */
export interface Verdict {
  readonly kind: 'ok' | 'slower' | 'fallback'
  readonly detail: string
}

/** By how much what is to be quicker may be slower before that is said: clocks and neighbours differ. */
const NOISE = 1.1

/** Whether `found` ms are about as quick as `expected` ms or quicker. */
export function quickerThan(found: number, expected: number, what: string): Verdict {
  const detail = `${found.toFixed(3)} ms, ${what}: ${expected.toFixed(3)} ms`
  return { kind: found > expected * NOISE ? 'slower' : 'ok', detail }
}

/** A verdict as a line. */
export function verdictLine(name: string, verdict: Verdict | undefined): string {
  const { kind, detail } = verdict ?? { kind: 'ok', detail: '' }
  const word = { ok: 'ok      ', slower: 'SLOWER  ', fallback: 'FALLBACK' }[kind]
  return `${word} ${name}${detail === '' ? '' : `: ${detail}`}`
}
